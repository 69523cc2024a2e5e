from pathlib import Path

import torch

from src.files.weights import read_tensors, write_tensors


def test_weights_and_their_facts_come_back(tmp_path: Path) -> None:
    tensors = {"w": torch.arange(6.0).reshape(2, 3).T, "half": torch.ones(2, dtype=torch.float16)}
    facts = {"backbone": "alexnet", "hidden": 512, "classes": ["car", "dog"]}
    write_tensors(tmp_path / "w.safetensors", tensors, facts)
    found, found_facts = read_tensors(tmp_path / "w.safetensors")
    assert found_facts == facts
    assert set(found) == set(tensors)
    for name, tensor in tensors.items():
        torch.testing.assert_close(found[name], tensor, rtol=0, atol=0)


def test_no_weights_and_no_facts_are_a_file_too(tmp_path: Path) -> None:
    write_tensors(tmp_path / "w.safetensors", {})
    assert read_tensors(tmp_path / "w.safetensors") == ({}, {})


def test_the_same_weights_are_the_same_bytes(tmp_path: Path) -> None:
    tensors = {"w": torch.ones(2, 2), "b": torch.zeros(2)}
    for name in ("first", "second"):
        write_tensors(tmp_path / name, tensors, {"z": 1, "classes": ["car"], "backbone": "alexnet"})
    assert (tmp_path / "first").read_bytes() == (tmp_path / "second").read_bytes()
