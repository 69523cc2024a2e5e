"""The contract of every file in src/classifiers; it also runs over each new file."""

from typing import Any

import pytest
import torch
import torchvision
from ruamel.yaml import YAML
from torch import nn

from commands.write_deps import ROOT
from src import plugins
from src.classification.params import Classifier
from src.params import ParamsError

SECTIONS = YAML(typ="safe").load((ROOT / "params.yaml").read_text())["classifiers"]
each = pytest.mark.parametrize("name", plugins.names("classifiers"))


def made(name: str, num_classes: int = 5) -> tuple[Any, nn.Module]:
    torch.manual_seed(0)
    module, section = plugins.section("classifiers", SECTIONS, name)
    return section, module.build(num_classes, section.model)


def images(height: int = 64, width: int = 64) -> torch.Tensor:
    return torch.rand(3, 3, height, width, generator=torch.Generator().manual_seed(0))


def test_every_file_has_a_section_and_every_section_a_file() -> None:
    assert sorted(SECTIONS) == plugins.names("classifiers")


@each
@pytest.mark.parametrize("num_classes", [2, 7])
def test_images_become_a_logit_for_each_class_whatever_their_size(name: str, num_classes: int) -> None:
    section, model = made(name, num_classes)
    assert isinstance(section, Classifier)
    for size in ((64, 64), (48, 96), tuple(section.input.size)):
        assert model(images(*size)).shape == (3, num_classes)


@each
def test_every_parameter_learns(name: str) -> None:
    _, model = made(name)
    torch.nn.functional.cross_entropy(model(images()), torch.tensor([0, 3, 1])).backward()
    assert not [key for key, value in model.named_parameters() if value.grad is None or not value.grad.isfinite().all()]


@each
def test_one_image_alone_is_classified_as_in_a_batch(name: str) -> None:
    _, model = made(name)
    with torch.inference_mode():
        both, alone = model.eval()(images()), model(images()[1:2])
    torch.testing.assert_close(both[1:2], alone, atol=1e-4, rtol=1e-3)


@each
def test_momentum_and_dropout_are_those_of_the_parameters(name: str) -> None:
    module, section = plugins.section("classifiers", SECTIONS, name)
    chosen = section.model.model_copy(update={"bn_momentum": 0.3, "dropout": 0.6})
    layers = list(module.build(5, chosen).modules())
    assert {layer.momentum for layer in layers if isinstance(layer, nn.BatchNorm2d)} == {0.3}
    assert {layer.p for layer in layers if isinstance(layer, nn.Dropout)} == {0.6}


@each
def test_torchvisions_weights_fit_by_name_but_for_the_last_layer(name: str) -> None:
    module, section = plugins.section("classifiers", SECTIONS, name)
    ours = module.build(5, section.model.model_copy(update={"width": 1.0})).state_dict()
    theirs = torchvision.models.get_model(section.model.name, weights=None).state_dict()
    other = [key for key, value in theirs.items() if key not in ours or ours[key].shape != value.shape]
    assert list(theirs)[-2:] == other
    assert set(ours) == set(theirs)


@each
def test_the_default_section_is_as_strict_as_the_others(name: str) -> None:
    with pytest.raises(ParamsError, match=rf"params\.yaml: classifiers\.{name}\.speed = 1: there is no such parameter"):
        plugins.section("classifiers", {name: {**SECTIONS[name], "speed": 1}}, name)
    with pytest.raises(ParamsError, match=rf"classifiers\.{name}: freeze_epochs holds layers at random"):
        plugins.section("classifiers", {name: {**SECTIONS[name], "freeze_epochs": 1}}, name)
