import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torchvision.ops import box_iou

from src.boxes.matching import best_match, is_background, near_difficult, without_difficult

NONE = np.zeros((0, 4), np.float32)


def target(boxes: list[list[float]], labels: list[int], difficult: list[bool]) -> dict:
    return {
        "boxes": np.array(boxes, np.float32).reshape(-1, 4),
        "labels": np.array(labels, np.int64),
        "difficult": np.array(difficult, bool),
        "image_id": "a",
    }


def random_boxes(seed: int, count: int) -> np.ndarray:
    corners = np.random.default_rng(seed).integers(0, 50, (count, 2)).astype(np.float32)
    sides = np.random.default_rng(seed + 1).integers(1, 40, (count, 2))
    return np.concatenate([corners, corners + sides], axis=1).astype(np.float32)


@given(seed=st.integers(0, 10_000), count=st.integers(0, 20), objects=st.integers(1, 6))
def test_best_match_agrees_with_torchvision(seed: int, count: int, objects: int) -> None:
    boxes, gt_boxes = random_boxes(seed, count), random_boxes(seed + 2, objects)
    best, matched = best_match(boxes, gt_boxes)
    table = box_iou(torch.from_numpy(boxes), torch.from_numpy(gt_boxes)).numpy()
    np.testing.assert_allclose(best, table.max(axis=1), atol=1e-6)
    np.testing.assert_allclose(table[np.arange(count), matched], best, atol=1e-6)


def test_best_match_of_equal_overlaps_is_the_first_true_box() -> None:
    _, matched = best_match(np.array([[2, 0, 6, 4]], np.float32), np.array([[0, 0, 4, 4], [4, 0, 8, 4]], np.float32))
    assert matched.tolist() == [0]


def test_an_image_without_objects_matches_nothing() -> None:
    best, matched = best_match(random_boxes(0, 5), NONE)
    assert best.tolist() == [0] * 5
    assert matched.tolist() == [-1] * 5
    assert [len(found) for found in best_match(NONE, random_boxes(0, 2))] == [0, 0]


def test_without_difficult_leaves_out_difficult_objects_and_not_more() -> None:
    full = target([[0, 0, 2, 2], [1, 1, 5, 5], [3, 3, 4, 4]], [3, 1, 2], [False, True, False])
    kept = without_difficult(full)
    assert kept["boxes"].tolist() == [[0, 0, 2, 2], [3, 3, 4, 4]]
    assert kept["labels"].tolist() == [3, 2]
    assert kept["image_id"] == "a"
    assert len(full["boxes"]) == 3


def test_near_difficult_holds_at_the_threshold_and_for_difficult_objects_alone() -> None:
    full = target([[0, 0, 10, 10], [20, 20, 30, 30]], [1, 1], [True, False])
    boxes = np.array([[0, 0, 10, 5], [0, 0, 10, 4], [20, 20, 30, 30]], np.float32)  # IoU 0.5, 0.4 and not difficult
    assert near_difficult(boxes, full, 0.5).tolist() == [True, False, False]


def test_a_threshold_of_zero_does_not_make_every_box_difficult() -> None:
    boxes = np.array([[0, 0, 10, 5], [40, 40, 50, 50]], np.float32)
    assert near_difficult(boxes, target([[0, 0, 10, 10]], [1], [True]), 0.0).tolist() == [True, False]
    assert not near_difficult(boxes, target([], [], []), 0.0).any()


BOXES = np.array([[50, 50, 60, 60], [0, 0, 10, 1], [0, 0, 10, 3], [0, 0, 10, 5], [0, 0, 10, 10]], np.float32)
GT_BOXES = np.array([[0, 0, 10, 10]], np.float32)
IOUS = best_match(BOXES, GT_BOXES)[0]  # 0, 0.1, 0.3, 0.5, 1


@pytest.mark.parametrize(
    ("rules", "expected"),
    [
        ({"iou_thresh": 0.5}, [True, True, True, False, False]),
        ({"iou_thresh": 0.5, "iou_min": 0.1}, [False, True, True, False, False]),
        ({"iou_thresh": 0.5, "iou_zero": False}, [False, True, True, False, False]),
        # The tutorial's text says `< 0.3`, like the paper. Its code says `<= 0.3` and would keep the third box.
        ({"iou_thresh": 0.3}, [True, True, False, False, False]),
        ({"iou_thresh": 0.3, "min_area": 0.2}, [True, False, False, False, False]),
    ],
)
def test_background_is_what_the_rules_say(rules: dict, expected: list[bool]) -> None:
    assert is_background(BOXES, IOUS, GT_BOXES, **rules).tolist() == expected


def test_pure_background_is_background_unless_the_tutorials_rule_leaves_it_out() -> None:
    far = np.array([[50, 50, 60, 60]], np.float32)
    assert is_background(far, np.zeros(1), GT_BOXES, iou_thresh=0.5).tolist() == [True]
    assert is_background(far, np.zeros(1), GT_BOXES, iou_thresh=0.5, iou_zero=False).tolist() == [False]


def test_the_area_rule_measures_against_the_largest_object_and_costs_the_negatives_of_a_small_one() -> None:
    small_and_large = np.array([[0, 0, 4, 4], [20, 20, 40, 40]], np.float32)  # areas 16 and 400
    boxes = np.array([[0, 3, 4, 7], [20, 35, 32, 45]], np.float32)  # areas 16 and 120, IoU below 0.3 with both
    best, _ = best_match(boxes, small_and_large)
    assert is_background(boxes, best, small_and_large, iou_thresh=0.5).tolist() == [True, True]
    assert is_background(boxes, best, small_and_large, iou_thresh=0.5, min_area=0.2).tolist() == [False, True]
    exactly = np.array([[50, 50, 58, 60]], np.float32)  # an area of 80 is a fifth of 400, and not above it
    assert is_background(exactly, np.zeros(1), small_and_large, iou_thresh=0.5, min_area=0.2).tolist() == [False]


def test_without_objects_every_box_is_background_and_the_area_rule_has_nothing_to_measure_against() -> None:
    best, _ = best_match(BOXES, NONE)
    assert is_background(BOXES, best, NONE, iou_thresh=0.5, min_area=0.2).all()
