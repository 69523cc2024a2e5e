"""The contract of every file in src/backbones; it also runs over each new file."""

from types import ModuleType

import pytest
import torch
import torchvision

from src import plugins

each = pytest.mark.parametrize("name", plugins.names("backbones"))


def module(name: str) -> ModuleType:
    return plugins.load("backbones", name)


@each
@pytest.mark.parametrize("size", [96, 160])
def test_maps_go_from_fine_to_coarse_with_their_channels(name: str, size: int) -> None:
    net = module(name).pyramid(1.0).eval()
    with torch.inference_mode():
        maps = net(torch.zeros(1, 3, size, size))
    assert [one.shape[1] for one in maps] == list(net.channels)
    sides = [one.shape[3] for one in maps]
    assert sides[:2] == [size // 8, size // 16]
    assert sides == sorted(sides, reverse=True)


@each
def test_a_single_map_has_stride_16(name: str) -> None:
    net = module(name).single(1.0).eval()
    with torch.inference_mode():
        (found,) = net(torch.zeros(1, 3, 96, 160))
    assert found.shape == (1, net.channels[0], 6, 10)


@pytest.mark.parametrize("name", sorted(set(plugins.names("backbones")) & set(torchvision.models.list_models())))
@pytest.mark.parametrize("form", ["pyramid", "single"])
def test_torchvisions_weights_fit_by_name(name: str, form: str) -> None:
    with torch.device("meta"):  # names and shapes without values
        theirs = torchvision.models.get_model(name, weights=None).state_dict()
        ours = {key: value for key, value in getattr(module(name), form)(1.0).state_dict().items() if "features" in key}
    assert ours
    assert all(theirs[key].shape == value.shape for key, value in ours.items())


def test_a_name_without_a_file_is_an_error_that_lists_those_there_are() -> None:
    with pytest.raises(
        plugins.InputError, match=r"no src/backbones/vgg17\.py; known backbones: mobilenet_v2, plain, vgg16"
    ):
        plugins.load("backbones", "vgg17")
