import math

import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torchvision.models.detection._utils import BoxCoder
from torchvision.ops import clip_boxes_to_image
from torchvision.transforms.v2.functional import horizontal_flip_bounding_boxes
from torchvision.tv_tensors import BoundingBoxFormat

from src.boxes.geometry import MAX_LOG_SCALE, clip, decode, encode

SQUARE = [0.0, 0.0, 10.0, 10.0]
EMPTY = torch.zeros(0, 4)
WIDTH = 500.0


def boxes_of(*rows):
    return torch.tensor(rows, dtype=torch.float32).reshape(-1, 4)


@st.composite
def boxes(draw, min_size=0, max_size=8, count=None):
    """Boxes within 400 pixels with sides of at least 1, on whole pixels, so that touching and equal boxes occur."""
    size = draw(st.integers(min_size, max_size)) if count is None else count
    corner, side = st.integers(0, 300), st.integers(1, 100)
    rows = draw(st.lists(st.tuples(corner, corner, side, side), min_size=size, max_size=size))
    return boxes_of(*[[x, y, x + w, y + h] for x, y, w, h in rows])


@st.composite
def pairs(draw):
    """Proposals and the same number of ground-truth boxes."""
    first = draw(boxes(min_size=1))
    return first, draw(boxes(count=len(first)))


# Regression deltas


def test_encode_by_hand():
    # Centre (10, 20) and sides 20 x 40; the ground-truth box has centre (15, 10) and sides 10 x 80.
    deltas = encode(boxes_of([0, 0, 20, 40]), boxes_of([10, -30, 20, 50]))
    torch.testing.assert_close(deltas, torch.tensor([[5 / 20, -10 / 40, math.log(0.5), math.log(2)]]))


def test_decode_by_hand():
    deltas = torch.tensor([[5 / 20, -10 / 40, math.log(0.5), math.log(2)]])
    torch.testing.assert_close(decode(boxes_of([0, 0, 20, 40]), deltas), boxes_of([10, -30, 20, 50]))


@given(pairs())
def test_decode_undoes_encode(pair):
    proposals, gt_boxes = pair
    # `decode` limits the growth of a side to a factor of 62.5; these sides can differ by a factor of up to 100.
    reached = encode(proposals, gt_boxes)[:, 2:].amax(dim=1) <= MAX_LOG_SCALE
    back = decode(proposals, encode(proposals, gt_boxes))
    torch.testing.assert_close(back[reached], gt_boxes[reached], atol=1e-3, rtol=1e-5)


@given(boxes(min_size=1))
def test_deltas_of_zero_leave_a_box_as_it_is(proposals):
    assert not encode(proposals, proposals).any()
    torch.testing.assert_close(decode(proposals, torch.zeros(len(proposals), 4)), proposals)


@given(pairs())
def test_encode_and_decode_are_those_of_torchvision(pair):
    proposals, gt_boxes = pair
    coder = BoxCoder(weights=(1.0, 1.0, 1.0, 1.0))
    expected = coder.encode_single(gt_boxes, proposals)
    torch.testing.assert_close(encode(proposals, gt_boxes), expected, atol=1e-5, rtol=1e-5)
    decoded = coder.decode_single(expected, proposals)
    torch.testing.assert_close(decode(proposals, expected), decoded, atol=1e-3, rtol=1e-5)


def test_decode_limits_growth():
    grown = decode(boxes_of(SQUARE), torch.tensor([[0.0, 0, 200, 200]]))
    assert grown.isfinite().all()
    torch.testing.assert_close(grown[:, 2:] - grown[:, :2], torch.full((1, 2), 625.0))


def test_no_boxes_through_everything():
    for result in (encode(EMPTY, EMPTY), decode(EMPTY, EMPTY), clip(EMPTY, (10, 10))):
        assert result.shape == (0, 4)


# Mirror images and clip


def flip(given_boxes: torch.Tensor, width: float) -> torch.Tensor:
    """Boxes in the mirror image, computed by torchvision."""
    return horizontal_flip_bounding_boxes(given_boxes, BoundingBoxFormat.XYXY, (1000, int(width)))


@settings(max_examples=50)
@given(pairs())
def test_flip_negates_tx_and_nothing_else(pair):
    proposals, gt_boxes = pair
    deltas = encode(proposals, gt_boxes)
    flipped = encode(flip(proposals, WIDTH), flip(gt_boxes, WIDTH))
    torch.testing.assert_close(flipped, deltas * torch.tensor([-1.0, 1, 1, 1]), atol=1e-5, rtol=1e-5)


def test_clip_cuts_at_width_and_height():
    # The size is (height, width), so the image is 30 wide and 20 high.
    clipped = clip(boxes_of([-5, -5, 50, 50], [1, 2, 3, 4], [40, 25, 50, 30]), (20, 30))
    assert clipped.tolist() == [[0, 0, 30, 20], [1, 2, 3, 4], [30, 20, 30, 20]]


@given(boxes(), st.integers(1, 300), st.integers(1, 300), st.integers(-150, 150))
def test_clip_is_that_of_torchvision(given_boxes, height, width, shift):
    moved = given_boxes + shift
    clipped = clip(moved, (height, width))
    assert torch.equal(clipped, clip_boxes_to_image(moved, (height, width)))
    assert torch.equal(clip(clipped, (height, width)), clipped)
