import hashlib
import re
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
import torchvision

from src.errors import InputError
from src.files.weights import read_tensors, write_tensors
from src.networks.starting_weights import load
from src.rcnn import network
from stages.download_weights import Params, run
from tests.files.test_download import NAME, Mirror, mirror  # noqa: F401 (a fixture)


def write(weights: str, out: Path) -> None:
    run(Params(), backbone="alexnet", weights=weights, out=out)


def test_none_is_a_file_without_tensors(tmp_path: Path) -> None:
    write("none", tmp_path / "out.safetensors")
    assert read_tensors(tmp_path / "out.safetensors") == ({}, {"source": "none"})


def test_state_dict_is_taken_with_its_hash(tmp_path: Path) -> None:
    torch.save({"features.0.weight": torch.ones(2, 3)}, tmp_path / "mine.pth")
    write(str(tmp_path / "mine.pth"), tmp_path / "out.safetensors")
    tensors, facts = read_tensors(tmp_path / "out.safetensors")
    assert tensors["features.0.weight"].equal(torch.ones(2, 3))
    assert facts["source"] == "mine.pth"
    assert len(facts["sha256"]) == 64


@pytest.mark.parametrize("prefix", ["module.", "module.model.", "_orig_mod.module."])
def test_prefixes_that_all_names_share_are_taken_off(tmp_path: Path, prefix: str) -> None:
    names = ["features.0.weight", "module_list.weight"]
    torch.save({f"{prefix}{name}": torch.ones(2) for name in names}, tmp_path / "mine.pth")
    write(str(tmp_path / "mine.pth"), tmp_path / "out.safetensors")
    assert sorted(read_tensors(tmp_path / "out.safetensors")[0]) == names


def test_prefixes_of_a_part_of_the_names_stay(tmp_path: Path) -> None:
    names = ["backbone.0.weight", "head.weight"]
    torch.save({name: torch.ones(2) for name in names}, tmp_path / "mine.pth")
    write(str(tmp_path / "mine.pth"), tmp_path / "out.safetensors")
    assert sorted(read_tensors(tmp_path / "out.safetensors")[0]) == names


def test_weights_that_a_stage_here_has_written_are_taken_too(tmp_path: Path) -> None:
    write_tensors(tmp_path / "ours.safetensors", {"fc.weight": torch.ones(2)}, {"classes": ["a"]})
    write(str(tmp_path / "ours.safetensors"), tmp_path / "out.safetensors")
    tensors, facts = read_tensors(tmp_path / "out.safetensors")
    assert tensors["fc.weight"].equal(torch.ones(2))
    assert (facts["source"], len(facts["sha256"])) == ("ours.safetensors", 64)


def test_pretrained_is_for_the_network_that_is_pretrained(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="weights = pretrained is for finetune alone"):
        write("pretrained", tmp_path / "out.safetensors")


@pytest.mark.parametrize(
    ("content", "message"),
    [(None, "there is no such file"), (b"<html>", "is not a state dict"), ([1, 2], "must hold a plain state dict")],
)
def test_file_that_is_no_state_dict(tmp_path: Path, content: object, message: str) -> None:
    path = tmp_path / "mine.pth"
    if isinstance(content, bytes):
        path.write_bytes(content)
    elif content is not None:
        torch.save(content, path)
    with pytest.raises(InputError, match=message):
        write(str(path), tmp_path / "out.safetensors")
    assert not (tmp_path / "out.safetensors").exists()


@pytest.fixture
def official(mirror: Callable[[], Mirror], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Mirror:  # noqa: F811
    """A real server on the loopback in the place of torchvision's; the local cache is empty."""
    torch.save({"features.0.weight": torch.ones(2, 3)}, tmp_path / "weights.pth")
    server = mirror()
    server.content = (tmp_path / "weights.pth").read_bytes()
    name = f"alexnet-owt-{hashlib.sha256(server.content).hexdigest()[:8]}.pth"  # as torchvision's files are called
    monkeypatch.setenv("TORCH_HOME", str(tmp_path / "cache"))
    entry = torchvision.models.AlexNet_Weights.DEFAULT.value
    size = len(server.content) / (1 << 20)  # torchvision tells MiB, rounded to a thousandth
    monkeypatch.setattr(entry, "meta", {**entry.meta, "_file_size": round(size, 3)})
    monkeypatch.setattr(entry, "url", server.url.replace(f"pascal/VOC/voc2007/{NAME}", f"models/{name}"))
    return server


def test_imagenet_weights_are_downloaded(official: Mirror, tmp_path: Path) -> None:
    write("imagenet", tmp_path / "out.safetensors")
    tensors, facts = read_tensors(tmp_path / "out.safetensors")
    assert tensors["features.0.weight"].equal(torch.ones(2, 3))
    assert facts["source"] == "imagenet"
    assert facts["url"].startswith(official.url.partition("/pascal")[0])


@pytest.mark.parametrize(
    ("damage", "answer"),
    [
        ({"content": b"another file"}, "sent another file"),
        ({"breaks": [100], "says_length": False}, "sent another file"),
        ({"status": 404}, "answered 404"),
        ({"endless": True}, "sends more than the .* bytes"),
    ],
)
def test_imagenet_weights_that_do_not_arrive_whole_are_refused(
    official: Mirror, tmp_path: Path, damage: dict, answer: str
) -> None:
    vars(official).update(damage)
    with pytest.raises(InputError, match=rf"no mirror sent alexnet-owt-\w{{8}}\.pth .*{answer}.* give its path"):
        write("imagenet", tmp_path / "out.safetensors")
    assert not (tmp_path / "out.safetensors").exists()


def test_the_weights_of_every_classifier_of_torchvision_have_a_checksum_and_a_size() -> None:
    for name in torchvision.models.list_models(module=torchvision.models):
        for weights in torchvision.models.get_model_weights(name):
            assert re.search(r"^https://.*-[0-9a-f]{8,}\.pth$", weights.url), weights.url
            assert weights.meta["_file_size"] > 1


def test_imagenet_weights_of_a_network_of_our_own_are_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="torchvision has none of 'plain'"):
        run(Params(), backbone="plain", weights="imagenet", out=tmp_path / "out.safetensors")


@pytest.mark.real
def test_imagenet_features_without_fc_layers_leave_those_at_random(shared_data: Path, tmp_path: Path) -> None:
    write(str(shared_data / "weights/alexnet_imagenet_features.pth"), tmp_path / "out.safetensors")
    model = network.build("alexnet", 21, hidden=8)
    fresh = load(model, read_tensors(tmp_path / "out.safetensors")[0])
    assert fresh == ["classifier.1", "classifier.4", "classifier.6"]
