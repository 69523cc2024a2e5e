import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torchvision.ops import box_area, box_iou

from src.boxes.overlap import area, iou
from tests.boxes.test_geometry import EMPTY, SQUARE, boxes, boxes_of


def test_area_has_no_plus_one():
    assert area(boxes_of(SQUARE, [2, 3, 5, 4])).tolist() == [100, 3]


def test_area_of_a_box_turned_inside_out_is_zero():
    # Two negative sides have a positive product.
    assert area(boxes_of([10, 10, 0, 0], [10, 0, 0, 10], [5, 5, 5, 9])).tolist() == [0, 0, 0]


@pytest.mark.parametrize(
    ("other", "expected"),
    [
        (SQUARE, 1.0),
        ([0, 0, 10, 5], 0.5),
        ([2, 2, 4, 4], 4 / 100),  # inside
        ([4, -5, 6, 15], 20 / 120),  # a cross: no corner of one box lies in the other
        ([5, 5, 15, 15], 25 / 175),
        ([10, 0, 20, 10], 0.0),  # the boxes share an edge; with `+ 1` they would overlap
        ([20, 20, 30, 30], 0.0),  # apart along both axes: the product of two negative sides would be an area
        ([3, 3, 3, 3], 0.0),
    ],
)
def test_iou_by_hand(other, expected):
    assert iou(boxes_of(SQUARE), boxes_of(other)).item() == pytest.approx(expected)


def test_iou_of_two_boxes_without_area_is_zero():
    assert iou(boxes_of([3, 3, 3, 3]), boxes_of([3, 3, 3, 3])).item() == 0


@pytest.mark.parametrize(("first", "second"), [(0, 3), (3, 0), (0, 0)])
def test_iou_with_an_empty_side(first, second):
    assert iou(boxes_of(*[SQUARE] * first), boxes_of(*[SQUARE] * second)).shape == (first, second)


@given(boxes(), boxes())
def test_iou_and_area_are_those_of_torchvision(first, second):
    torch.testing.assert_close(iou(first, second), box_iou(first, second))
    torch.testing.assert_close(area(first), box_area(first))


@given(boxes(), boxes())
def test_iou_is_symmetric_within_bounds_and_one_on_itself(first, second):
    overlaps = iou(first, second)
    assert torch.equal(overlaps, iou(second, first).T)
    assert ((overlaps >= 0) & (overlaps <= 1)).all()
    assert (iou(first, first).diagonal() == 1).all()


@given(boxes(), boxes(), st.integers(-50, 50), st.sampled_from([0.5, 2.0]))
def test_iou_does_not_change_when_both_move_or_grow(first, second, shift, scale):
    # An IoU with `+ 1` would change with the scale.
    torch.testing.assert_close(iou((first + shift) * scale, (second + shift) * scale), iou(first, second))


@given(boxes(), boxes(), st.sampled_from([torch.float32, torch.float64]))
def test_arrays_and_tensors_have_the_same_overlap_to_the_bit(first, second, precision):
    first, second = first.to(precision) / 3, second.to(precision) / 3
    found = iou(first.numpy(), second.numpy())
    assert found.dtype == first.numpy().dtype
    np.testing.assert_array_equal(found, iou(first, second).numpy())
    np.testing.assert_array_equal(area(first.numpy()), area(first).numpy())


def test_no_boxes_have_no_area():
    assert area(EMPTY).shape == (0,)


def both_axes_at_once(first, second, library):
    """Compute the overlap by the formula with an array [N, M, 2], as an oracle."""
    top_left = library.maximum(first[:, None, :2], second[None, :, :2])
    bottom_right = library.minimum(first[:, None, 2:], second[None, :, 2:])
    sides = (bottom_right - top_left).clip(min=0)
    intersection = sides[..., 0] * sides[..., 1]
    union = area(first)[:, None] + area(second)[None, :] - intersection
    return library.where(union > 0, intersection / union.clip(min=library.finfo(union.dtype).tiny), 0.0)


@given(boxes(), boxes())
def test_one_axis_at_a_time_gives_the_same_bits(first, second):
    first, second = first / 3, second / 3
    assert torch.equal(iou(first, second), both_axes_at_once(first, second, torch))
    first, second = first.numpy(), second.numpy()
    np.testing.assert_array_equal(iou(first, second), both_axes_at_once(first, second, np))


@given(boxes(), boxes())
def test_a_batch_has_the_overlaps_of_each_of_its_images(first, second):
    batch = torch.stack([second / 3, second / 7])
    found = iou(batch, first)
    assert found.shape == (2, len(second), len(first))
    assert torch.equal(found, torch.stack([iou(second / 3, first), iou(second / 7, first)]))
