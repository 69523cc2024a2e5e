import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch.nn import functional
from torchvision.models.detection._utils import Matcher
from torchvision.ops import box_iou

from src.detectors.rpn import (
    IGNORED,
    Decode,
    Loss,
    count,
    decode,
    figures,
    label_anchors,
    loss,
    objectness_loss,
    sample_anchors,
)

RULES = Loss(
    fg_iou_thresh=0.7,
    bg_iou_thresh=0.3,
    anchors_per_image=256,
    fg_fraction=0.5,
    across_border=False,
    box_weight=1.0,
)
SIZE = (100, 100)
GRID = torch.tensor([[x, y, x + 20.0, y + 20] for y in range(0, 90, 10) for x in range(0, 90, 10)])


def test_labels_by_hand() -> None:
    objects = torch.tensor([[0.0, 0, 20, 20]])
    boxes = torch.tensor([[0.0, 0, 20, 18], [0, 0, 20, 12], [0, 0, 20, 4], [50, 50, 70, 70], [-1, 0, 20, 20]])
    labels, matched = label_anchors(boxes, objects, SIZE, RULES)
    assert labels.tolist() == [1, IGNORED, 0, 0, IGNORED]  # IoU 0.9, 0.6, 0.2, 0, and across the border
    assert matched[0] == 0
    labels, _ = label_anchors(boxes, objects, SIZE, RULES.model_copy(update={"across_border": True}))
    assert labels.tolist() == [1, IGNORED, 0, 0, 1]


def test_the_best_anchors_of_an_object_are_positive_whatever_their_overlap_and_all_of_equals() -> None:
    objects = torch.tensor([[8.0, 10, 12, 14]])  # IoU 0.04 with the anchors that contain it
    labels, _ = label_anchors(GRID, objects, SIZE, RULES)
    assert (labels == 1).sum() == 2
    assert (labels == 0).sum() == len(GRID) - 2
    overlaps = box_iou(GRID, objects)[:, 0]
    assert torch.equal(labels == 1, overlaps == overlaps.max())


def test_without_objects_all_is_background_but_what_crosses_the_border() -> None:
    boxes = torch.cat([GRID, torch.tensor([[90.0, 90, 110, 110]])])
    labels, _ = label_anchors(boxes, torch.zeros(0, 4), SIZE, RULES)
    assert labels.tolist() == [0] * len(GRID) + [IGNORED]


@given(seed=st.integers(0, 500), count=st.integers(1, 6))
def test_labels_are_torchvisions(seed: int, count: int) -> None:
    generator = torch.Generator().manual_seed(seed)
    corner = (torch.rand(count, 2, generator=generator) * 80).round()
    objects = torch.cat([corner, corner + 4 + (torch.rand(count, 2, generator=generator) * 30).round()], dim=1)
    labels, matched = label_anchors(GRID, objects, SIZE, RULES)
    theirs = Matcher(0.7, 0.3, allow_low_quality_matches=True)(box_iou(objects, GRID))
    # Differs: if no anchor overlaps an object, torchvision makes all anchors with an overlap of 0 positive.
    if (box_iou(objects, GRID).max(dim=1).values > 0).all():
        expected = torch.where(theirs >= 0, 1, torch.where(theirs == -1, 0, IGNORED))
        assert torch.equal(labels, expected)
    overlaps = box_iou(GRID, objects)
    own = overlaps[torch.arange(len(GRID)), matched][labels == 1]
    most = overlaps.max(dim=0).values[matched][labels == 1]
    assert ((own >= 0.7) | (own == most)).all()  # the matched object is the reason that an anchor is positive


@given(objects=st.integers(0, 300), backgrounds=st.integers(0, 600), seed=st.integers(0, 100))
def test_a_sample_has_256_up_to_half_of_them_objects(objects: int, backgrounds: int, seed: int) -> None:
    torch.manual_seed(seed)
    labels = torch.cat([torch.ones(objects), torch.zeros(backgrounds), -torch.ones(50)]).long()
    labels = labels[torch.randperm(len(labels))]
    kept = sample_anchors(labels, RULES)
    assert ((kept == labels) | (kept == IGNORED)).all()
    assert (kept == 1).sum() == min(objects, 128)
    assert (kept == 0).sum() == min(backgrounds, 256 - min(objects, 128))
    every = sample_anchors(labels, RULES.model_copy(update={"anchors_per_image": None}))
    assert torch.equal(every, labels)  # as in the tutorial


@pytest.mark.parametrize("neutral", [torch.inf, -torch.inf, torch.nan, 1e30])
def test_neutral_anchors_change_neither_value_nor_gradient(neutral: float) -> None:
    """The tutorial also computes the loss of label -1 and multiplies it by 0, which turns infinity into NaN."""
    labels = torch.tensor([1, 0, IGNORED, 1])
    logits = torch.tensor([0.5, -1.0, neutral, 2.0], requires_grad=True)
    found = objectness_loss(logits, labels)
    found.backward()
    kept = torch.tensor([0.5, -1.0, 2.0], requires_grad=True)
    expected = functional.binary_cross_entropy_with_logits(kept, torch.tensor([1.0, 0, 1]))
    expected.backward()
    torch.testing.assert_close(found, expected, atol=1e-5, rtol=1e-5)
    torch.testing.assert_close(logits.grad[[0, 1, 3]], kept.grad, atol=1e-5, rtol=1e-5)
    assert logits.grad[2] == 0
    masked = (labels != IGNORED) * functional.binary_cross_entropy_with_logits(
        logits.detach(), labels.float(), reduction="none"
    )
    if neutral != 1e30:
        assert not masked.sum().isfinite()  # the bug


def test_only_neutral_anchors_are_loss_0() -> None:
    logits = torch.zeros(5, requires_grad=True)
    objectness_loss(logits, torch.full((5,), IGNORED)).backward()
    assert not logits.grad.any()


def test_the_loss_of_a_perfect_network_is_nothing() -> None:
    objects = torch.tensor([[10.0, 10, 30, 30]])
    labels, _ = label_anchors(GRID, objects, SIZE, RULES)
    outputs = {
        "anchors": GRID,
        "logits": torch.where(labels == 1, 30.0, -30.0)[None],
        "deltas": torch.zeros(1, len(GRID), 4),
        "input_size": torch.tensor(SIZE),
    }
    found = loss(outputs, [{"boxes": objects, "labels": torch.tensor([2])}], RULES)
    assert found["objectness_loss"] < 1e-9
    assert found["box_loss"] == 0
    shifted = {**outputs, "deltas": torch.full((1, len(GRID), 4), 0.5)}
    expected = 4 * (0.5 - 1 / 18) / int((labels != IGNORED).sum())  # one positive; all labelled anchors are sampled
    assert loss(shifted, [{"boxes": objects, "labels": torch.tensor([2])}], RULES)["box_loss"].item() == pytest.approx(
        expected
    )


def test_proposals_are_the_best_without_near_duplicates_and_small_ones() -> None:
    anchors = torch.tensor([[0.0, 0, 20, 20], [1, 0, 21, 20], [50, 50, 70, 70], [80, 80, 81, 81], [90, 90, 120, 120]])
    outputs = {
        "anchors": anchors,
        "logits": torch.tensor([[1.0, 2.0, 0.0, 5.0, -1.0]]),
        "deltas": torch.zeros(1, 5, 4),
        "input_size": torch.tensor(SIZE),
    }
    rules = Decode(candidates=10, nms_thresh=0.7, min_side=3, max_per_image=10)
    found = decode(outputs, [(200, 50)], rules)[0]
    scale = torch.tensor([0.5, 2, 0.5, 2])
    expected = torch.stack([anchors[1], anchors[2], torch.tensor([90.0, 90, 100, 100])]) * scale
    torch.testing.assert_close(found["boxes"], expected)
    assert found["labels"].tolist() == [1, 1, 1]
    few = decode(outputs, [SIZE], rules.model_copy(update={"max_per_image": 1, "min_side": 0.0}))[0]
    torch.testing.assert_close(few["boxes"], anchors[3:4])


def test_figures_of_the_positive_anchors_beside_an_accuracy_that_says_nothing() -> None:
    objects = torch.tensor([[10.0, 10, 30, 30], [60, 60, 80, 80]])
    labels, _ = label_anchors(GRID, objects, SIZE, RULES)
    logits = torch.full((1, len(GRID)), -1.0)
    outputs = {"anchors": GRID, "logits": logits, "input_size": torch.tensor(SIZE)}
    targets = [{"boxes": objects, "labels": torch.tensor([1, 1])}]
    negative = figures(count(outputs, targets, RULES))
    assert negative["recall"] == negative["precision"] == 0
    assert negative["accuracy"] == negative["accuracy_always_background"] > 0.9
    logits[0, labels == 1] = 1.0
    logits[0, (labels == 0).nonzero()[:2]] = 1.0
    logits[0, (labels == IGNORED).nonzero()[:1]] = 1.0  # neutral anchors do not count
    found = figures(count(outputs, targets, RULES))
    assert (found["recall"], found["precision"]) == (1.0, 0.5)
