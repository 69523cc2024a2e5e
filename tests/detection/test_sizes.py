import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torchvision.transforms import v2

from src.detection.augmentation import apply, transform
from src.detection.rpn import Model
from src.detection.sizes import STRIDE, Size, rescaled, size_of, stacked

sides = st.integers(8, 300)


@given(height=sides, width=sides)
def test_a_scaled_size_is_that_of_torchvisions_resize(height: int, width: int) -> None:
    for size in (Size(32, 50), Size(60, 61), Size(40)):
        resize = v2.Resize([size.side] * (1 if size.longest else 2), max_size=size.longest)
        assert size.scaled((height, width)) == tuple(resize(torch.zeros(1, height, width)).shape[1:])


def test_faster_rcnns_sizes() -> None:
    assert Size(600, 1000).scaled((375, 500)) == (600, 800)
    assert Size(600, 1000).scaled((500, 375)) == (800, 600)
    assert Size(600, 1000).scaled((200, 500)) == (400, 1000)


def test_a_side_has_a_pixel_at_least() -> None:
    size = Size(600, 1000)
    assert size.scaled((1, 1500)) == (1, 1000)
    assert size.scaled((1500, 1)) == (1000, 1)
    target = {"boxes": np.zeros((0, 4), np.float32), "labels": np.zeros(0, np.int64)}
    assert apply(transform(size), np.zeros((1, 1500, 3), np.uint8), target)[0].shape == (3, 1, 1000)


def test_images_are_padded_at_the_end_to_whole_cells() -> None:
    images = [torch.ones(3, 40, 60), torch.ones(3, 64, 33)]
    batch = stacked(images, Size(40, 70))
    assert batch.shape == (2, 3, 2 * STRIDE, 2 * STRIDE)
    for row, image in zip(batch, images, strict=True):
        assert torch.equal(row[:, : image.shape[1], : image.shape[2]], image)
        assert row.sum() == image.sum()
    assert stacked([torch.ones(3, 63, 63)], Size(63)).shape == (1, 3, 63, 63)  # a square is not padded


def test_boxes_return_to_the_pixels_of_the_image() -> None:
    boxes = torch.tensor([[0.0, 0, 50, 20]])
    assert rescaled(boxes, (40, 100), (80, 50)).tolist() == [[0, 0, 25, 40]]
    assert rescaled(boxes[:0], (40, 100), (80, 50)).shape == (0, 4)


@pytest.mark.parametrize("longest", [None, 70])
def test_the_rule_is_read_from_the_section(longest: int | None) -> None:
    values = {"backbone": "plain", "width": 1.0, "size": 40, "channels": 8, "scales": [8.0], "aspect_ratios": [1.0]}
    assert size_of(Model.model_validate({**values, "longest": longest})) == Size(40, longest)
