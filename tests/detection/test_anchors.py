import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torchvision.models.detection.anchor_utils import AnchorGenerator, DefaultBoxGenerator
from torchvision.models.detection.image_list import ImageList

from src.detection.anchors import anchors, default_boxes, kept_anchors, linear_scales

GRIDS = [(38, 38), (19, 19), (10, 10), (5, 5), (3, 3), (1, 1)]
RATIOS = [[2.0], [2.0, 3.0], [2.0, 3.0], [2.0, 3.0], [2.0], [2.0]]
STRIDES = [8.0, 16.0, 32.0, 64.0, 100.0, 300.0]
SCALES = [0.07, 0.15, 0.33, 0.51, 0.69, 0.87, 1.05]


def oracle(strides: list[float] | None) -> torch.Tensor:
    generator = DefaultBoxGenerator([[2], [2, 3], [2, 3], [2, 3], [2], [2]], scales=SCALES, steps=strides)
    maps = [torch.zeros(1, 1, *grid) for grid in GRIDS]
    return generator(ImageList(torch.zeros(1, 3, 300, 300), [(300, 300)]), maps)[0]


@pytest.mark.parametrize("strides", [None, STRIDES])
def test_default_boxes_are_torchvisions_8732(strides: list[float] | None) -> None:
    boxes = default_boxes(GRIDS, SCALES, RATIOS, 300, strides)
    assert boxes.shape == (8732, 4)
    torch.testing.assert_close(boxes, oracle(strides), atol=1e-3, rtol=0)


def test_sides_are_clipped_to_the_image_and_corners_are_not() -> None:
    boxes = default_boxes(GRIDS, SCALES, RATIOS, 300)
    sides = boxes[:, 2:] - boxes[:, :2]
    assert sides.max() <= 300.001
    assert boxes.min() < 0
    assert boxes.max() > 300


def test_scales_of_the_paper() -> None:
    assert linear_scales(0.1, 0.2, 0.9, 6) == [0.1, 0.2, 0.375, 0.55, 0.725, 0.9, 1.075]
    assert linear_scales(0.1, 0.2, 0.9, 2) == [0.1, 0.2, 0.9]


def test_anchors_have_their_areas_and_ratios_at_the_centres_of_the_cells() -> None:
    boxes = anchors((2, 3), 16, [32, 64], [0.5, 1, 2]).reshape(2, 3, 6, 4)
    sides = boxes[..., 2:] - boxes[..., :2]
    expected = torch.tensor([32.0] * 3 + [64.0] * 3).expand(2, 3, 6)
    torch.testing.assert_close(sides.prod(-1).sqrt(), expected)
    torch.testing.assert_close(sides[..., 1] / sides[..., 0], torch.tensor([0.5, 1, 2] * 2).expand(2, 3, 6))
    centres = (boxes[..., 2:] + boxes[..., :2]) / 2
    torch.testing.assert_close(centres[1, 2], torch.tensor([40.0, 24.0]).expand(6, 2))


def test_anchors_are_torchvisions_moved_by_half_a_cell_but_for_its_rounding() -> None:
    generator = AnchorGenerator(sizes=((128, 256, 512),), aspect_ratios=((0.5, 1.0, 2.0),))
    theirs = generator(ImageList(torch.zeros(1, 3, 160, 240), [(160, 240)]), [torch.zeros(1, 1, 10, 15)])[0]
    ours = anchors((10, 15), 16, [128, 256, 512], [0.5, 1, 2]).reshape(150, 3, 3, 4).transpose(1, 2).reshape(-1, 4)
    torch.testing.assert_close(ours, theirs + 8, atol=0.5, rtol=0)


@given(height=st.integers(0, 4), width=st.integers(0, 4))
def test_boxes_lie_row_by_row_as_a_heads_output_does(height: int, width: int) -> None:
    boxes = anchors((height, width), 8, [16], [1, 2])
    assert boxes.shape == (height * width * 2, 4)
    head = torch.arange(height * width).reshape(1, 1, height, width).repeat(1, 2, 1, 1)  # numbers of the cells
    cell = head.permute(0, 2, 3, 1).reshape(-1)
    centres = (boxes[:, :2] + boxes[:, 2:]) / 2
    torch.testing.assert_close(centres[:, 0], (cell % max(width, 1)) * 8.0 + 4)
    torch.testing.assert_close(centres[:, 1], (cell // max(width, 1)) * 8.0 + 4)


def test_kept_anchors_are_made_once_per_device_and_also_serve_a_training() -> None:
    shape = ((2, 3), 16.0, (32.0, 64.0), (0.5, 1.0))
    with torch.inference_mode():
        kept = {name: kept_anchors(torch.device(name), *shape) for name in ("cpu", "meta")}
    for name, boxes in kept.items():
        assert boxes.device.type == name
        assert not boxes.is_inference()
        assert kept_anchors(torch.device(name), *shape) is boxes
    assert torch.equal(kept["cpu"], anchors(*shape))
