import json
from pathlib import Path
from typing import Any

import pytest
import torch

from src.files.weights import read_tensors
from src.networks import starting_weights
from src.rcnn import network
from stages import download_weights
from stages.pretrain_alexnet import Params, run
from tests.labelled import digits
from tests.stages.classifiers import SMALL, content

HIDDEN = 16


def params(weights: str) -> Params:
    found = content()
    found["finetune"] |= {"weights": weights, "hidden": HIDDEN}
    found["pretrain_alexnet"]["train"] |= SMALL
    return Params.model_validate(found)


def taught(folder: Path, monkeypatch: pytest.MonkeyPatch, weights: str) -> tuple[dict[str, torch.Tensor], Any]:
    monkeypatch.chdir(folder)
    monkeypatch.setenv("DEVICE", "cpu")
    data = digits(folder / "digits.zip")
    run(params(weights), images=data.path, out=folder / "alexnet.safetensors", metrics=folder / "metrics.json")
    return read_tensors(folder / "alexnet.safetensors")[0], json.loads((folder / "metrics.json").read_text())


@pytest.mark.parametrize("weights", ["none", "imagenet", "/some/where.pth"])
def test_where_it_is_not_asked_for_nothing_is_trained(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, weights: str
) -> None:
    assert taught(tmp_path, monkeypatch, weights) == ({}, {"epoch": 0})


def test_finetune_starts_from_all_that_was_taught_but_for_the_classes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    tensors, metrics = taught(tmp_path, monkeypatch, "pretrained")
    assert metrics["epoch"] == 1
    assert "val_accuracy" in metrics
    out = tmp_path / "rcnn.safetensors"
    start = {"weights": "pretrained", "pretrained": tmp_path / "alexnet.safetensors", "out": out}
    download_weights.run(download_weights.Params(), backbone="alexnet", **start)
    found, facts = read_tensors(out)
    assert facts == {"source": "pretrained on gesture"}
    model = network.build("alexnet", 10, pool=1, hidden=HIDDEN)  # as many classes as there are digits: fc8 would fit
    assert starting_weights.load(model, found) == ["classifier.6"]
    for name, value in tensors.items():
        assert torch.equal(model.state_dict()[name], value)
