from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn
from torchvision.models import alexnet, vgg11_bn
from torchvision.models.feature_extraction import create_feature_extractor

from src.errors import InputError
from src.rcnn import maps, network
from src.rcnn.maps import Cells, cells_of, describe, scene
from src.rcnn.warp import Warp, normalize, warp

RNG = np.random.default_rng(0)
NO_CONTEXT = Warp(size=227, context=0)


@pytest.fixture(scope="module")
def net() -> nn.Module:
    torch.manual_seed(0)
    return network.build("alexnet", 3, hidden=8).eval()


def smooth(height: int, width: int) -> np.ndarray:
    """Draw an image without sharp edges, so that its scaling changes little."""
    rows, columns = np.mgrid[:height, :width]
    waves = [np.sin(rows / 40 + phase) + np.cos(columns / 50 - phase) for phase in (0.0, 1.0, 2.0)]
    return np.uint8(127 + 60 * np.stack(waves, 2))


def described(net: nn.Module, image: np.ndarray, boxes: np.ndarray, flipped: np.ndarray, side: int) -> torch.Tensor:
    with torch.inference_mode():
        return describe(net, scene(image, boxes, flipped, side), NO_CONTEXT, "pool5")


@pytest.mark.parametrize("build", [alexnet, vgg11_bn])
def test_the_cells_are_in_the_middle_of_the_pixels_that_act_on_them(build: Callable[..., Any]) -> None:
    layers = build(weights=None).eval().features[:-1]
    cells = cells_of(layers, 300)
    linear = nn.Sequential(  # the same windows without maxima, so every pixel of a window acts
        *(nn.AvgPool2d(part.kernel_size, part.stride) if isinstance(part, nn.MaxPool2d) else part for part in layers)
    )
    linear = nn.Sequential(*(part for part in linear if not isinstance(part, nn.ReLU)))
    for part in linear:
        if isinstance(part, nn.Conv2d):
            nn.init.constant_(part.weight, 1e-3)
    image = torch.ones(1, 3, 300, 300, requires_grad=True)
    result = linear(image)
    assert result.shape[-1] == cells.number
    for cell in (8, 9):
        (gradient,) = torch.autograd.grad(result[0, :, cell, cell].sum(), image, retain_graph=True)
        acting = gradient[0].abs().sum((0, 1)).nonzero()
        assert (acting.min() + acting.max() + 1).item() / 2 == cells.first + cell * cells.stride


def test_a_layer_of_another_kind_is_refused() -> None:
    with pytest.raises(InputError, match="features.from = map .* has a AvgPool2d: choose warp, or alexnet or a vgg"):
        cells_of(nn.Sequential(nn.AvgPool2d(2)), 67)


def test_the_whole_image_has_the_features_of_its_own_crop(net: nn.Module) -> None:
    """A region as large as the image is the image itself: both ways feed the network the same pixels."""
    image = RNG.integers(0, 256, (227, 227, 3), np.uint8)
    box = np.array([[0.0, 0.0, 227.0, 227.0]])
    for mirrored in (False, True):
        flipped = np.array([mirrored])
        crop = torch.from_numpy(warp(image, box, size=227, flipped=flipped))
        with torch.inference_mode():
            expected = network.describe(net, normalize(crop), "pool5")
        torch.testing.assert_close(described(net, image, box, flipped, 227), expected, atol=1e-4, rtol=1e-4)


def test_a_region_of_a_larger_image_has_nearly_the_features_of_its_crop(net: nn.Module) -> None:
    image = smooth(600, 800)
    boxes = np.array([[100.0, 150.0, 327.0, 377.0], [300.0, 40.0, 750.0, 500.0], [0.0, 0.0, 120.0, 90.0]])
    flipped = np.array([False, True, False])
    crops = torch.from_numpy(warp(image, boxes, size=227, flipped=flipped))
    with torch.inference_mode():
        expected = network.describe(net, normalize(crops), "pool5")
    found = described(net, image, boxes, flipped, 600)
    likeness = torch.nn.functional.cosine_similarity(found, expected)
    assert (likeness > 0.9).all(), likeness
    shuffled = torch.nn.functional.cosine_similarity(found.roll(1, 0), expected)
    assert (likeness > shuffled).all()


def test_mirrored_regions_are_those_of_the_mirrored_image(net: nn.Module) -> None:
    image = RNG.integers(0, 256, (300, 400, 3), np.uint8)
    box = np.array([[30.0, 20.0, 250.0, 260.0]])
    mirrored_box = np.array([[150.0, 20.0, 370.0, 260.0]])
    ours = described(net, image, box, np.array([True]), 300)
    theirs = described(net, np.ascontiguousarray(image[:, ::-1]), mirrored_box, np.array([False]), 300)
    torch.testing.assert_close(ours, theirs)


def test_no_region_gives_no_feature(net: nn.Module) -> None:
    none = scene(smooth(100, 150), np.zeros((0, 4)), np.zeros(0, bool), 128)
    with torch.inference_mode():
        assert describe(net, none, NO_CONTEXT, "pool5+fc7").shape == (0, 256 * 36 + 8)


def test_many_regions_are_described_in_parts(net: nn.Module, monkeypatch: pytest.MonkeyPatch) -> None:
    image, boxes = smooth(200, 300), np.array([[10.0 * i, 5.0, 10.0 * i + 80, 120.0] for i in range(7)])
    flipped = np.arange(7) % 2 == 0
    whole = described(net, image, boxes, flipped, 256)
    monkeypatch.setattr(maps, "AT_ONCE", 3)
    torch.testing.assert_close(described(net, image, boxes, flipped, 256), whole)


def test_context_takes_the_surroundings_in(net: nn.Module) -> None:
    image, box = smooth(400, 400), np.array([[116.0, 116.0, 284.0, 284.0]])
    wider = np.array([[100.0, 100.0, 300.0, 300.0]])  # 168 of 200 are the box's own
    item = scene(image, box, np.array([False]), 400)
    with torch.inference_mode():
        with_context = describe(net, item, Warp(size=100, context=8), "pool5")
        without = describe(net, scene(image, wider, np.array([False]), 400), Warp(size=100, context=0), "pool5")
    torch.testing.assert_close(with_context, without)


def test_a_long_image_is_limited() -> None:
    image = np.zeros((100, 1000, 3), np.uint8)
    made = scene(image, np.array([[0.0, 0.0, 1000.0, 100.0]]), np.array([False]), 60)
    assert made.pixels.shape == (10, 100, 3)
    torch.testing.assert_close(made.boxes, torch.tensor([[0.0, 0.0, 100.0, 10.0]]))


def test_cells_of_nothing() -> None:
    assert cells_of(nn.Sequential(), 5) == Cells(1, 0.5, 5)


def test_the_map_is_the_backbones_own() -> None:
    """The cells' count is that of torchvision's own layers, for several sizes."""
    model = alexnet(weights=None).eval()
    extractor = create_feature_extractor(model, {"features.11": "map"})
    for size in (67, 195, 227):
        assert extractor(torch.zeros(1, 3, size, size))["map"].shape[-1] == cells_of(model.features[:-1], size).number
