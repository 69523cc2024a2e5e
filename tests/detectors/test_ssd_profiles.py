"""The profiles of the released SSD300 and SSD512."""

from itertools import pairwise
from typing import Any

import pytest
import torch
from ruamel.yaml import YAML
from torchvision.models.detection import ssd300_vgg16

from commands.write_deps import ROOT
from src.detectors.ssd300 import Model, build

YAML_READER = YAML(typ="safe")
CLASSES = 21


def profile(name: str) -> dict[str, Any]:
    """Return the section `detectors.ssd300` of a profile."""
    section: dict[str, Any] = YAML_READER.load((ROOT / f"profiles/{name}.yaml").read_text())["detectors"]["ssd300"]
    return section


def network(name: str) -> torch.nn.Module:
    section = YAML_READER.load((ROOT / "params.yaml").read_text())["detectors"]["ssd300"]["model"]
    with torch.device("meta"):
        return build(CLASSES, Model.model_validate(section | profile(name)["model"]))


def parameters(net: torch.nn.Module) -> int:
    return sum(value.numel() for value in net.parameters())


def test_ssd300_has_8732_default_boxes_and_torchvisions_parameters() -> None:
    net = network("voc0712")
    assert net.default_boxes.shape == (8732, 4)
    with torch.device("meta"):
        theirs = ssd300_vgg16(weights=None, weights_backbone=None, num_classes=CLASSES)
    assert parameters(net) == parameters(theirs)


def test_ssd512_has_24564_default_boxes_and_the_parameters_of_its_layers() -> None:
    net = network("voc0712_ssd512")
    assert net.default_boxes.shape == (24_564, 4)

    def conv(before: int, after: int, side: int) -> int:
        return before * after * side * side + after

    backbone = 14_714_688 + 512 + conv(512, 1024, 3) + conv(1024, 1024, 1)  # VGG16, norm, conv6, conv7
    channels = [1024, 512, 256, 256, 256, 256]
    extras = sum(conv(a, b // 2, 1) + conv(b // 2, b, 3) for a, b in pairwise(channels))
    heads = zip([512, *channels], [4, 6, 6, 6, 6, 4, 4], strict=True)
    assert parameters(net) == backbone + extras + sum(conv(a, n * (CLASSES + 4), 3) for a, n in heads)


@pytest.mark.parametrize("name", ["voc0712", "voc0712_ssd512"])
def test_the_released_schedule_has_120000_steps(name: str) -> None:
    train = profile(name)["train"]
    assert train["batches_per_epoch"] * train["epochs"] == 120_000
    assert [train["batches_per_epoch"] * epoch for epoch in train["lr_milestones"]] == [80_000, 100_000]


def test_ssd512_trains_as_ssd300() -> None:
    small, large = profile("voc0712"), profile("voc0712_ssd512")
    assert {key: small[key] for key in small if key != "model"} == {key: large[key] for key in large if key != "model"}
