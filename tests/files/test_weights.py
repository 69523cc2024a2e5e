from pathlib import Path

import torch
from safetensors import safe_open
from safetensors.torch import load_file

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


def test_other_libraries_read_the_file_and_find_its_format(tmp_path: Path) -> None:
    tensors = {"w": torch.arange(6.0).reshape(2, 3), "ü": torch.ones(1, dtype=torch.int64)}
    write_tensors(tmp_path / "w.safetensors", tensors, {"classes": ["Köln"]})
    read = load_file(tmp_path / "w.safetensors")
    assert all(torch.equal(read[name], tensor) for name, tensor in tensors.items())
    with safe_open(tmp_path / "w.safetensors", framework="pt") as file:
        assert file.metadata()["format"] == "pt"
    write_tensors(tmp_path / "none.safetensors", {})
    assert load_file(tmp_path / "none.safetensors") == {}


def test_the_same_weights_are_the_same_bytes(tmp_path: Path) -> None:
    tensors = {"w": torch.ones(2, 2), "b": torch.zeros(2)}
    for number in range(8):  # the format's library orders two keys of metadata at random
        write_tensors(tmp_path / str(number), tensors, {"z": 1, "classes": ["car"], "backbone": "alexnet"})
    assert len({(tmp_path / str(number)).read_bytes() for number in range(8)}) == 1
