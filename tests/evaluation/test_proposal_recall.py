import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torchvision.ops import box_iou

from src.evaluation.proposal_recall import WINDOW_ASPECTS, WINDOW_SCALES, best_overlaps, mabo, recall, sliding_window

SHAPES = len(WINDOW_SCALES) * len(WINDOW_ASPECTS)


def target(*rows, labels=None, difficult=None):
    return {
        "boxes": np.array(rows, np.float32).reshape(-1, 4),
        "labels": np.array(labels or [1] * len(rows), np.int64),
        "difficult": np.array(difficult or [False] * len(rows), bool),
    }


def boxes_of(*rows):
    return np.array(rows, np.float32).reshape(-1, 4)


TARGETS = {
    "a": target([0, 0, 10, 10], [20, 20, 30, 30], [50, 50, 60, 60], labels=[1, 2, 1], difficult=[False, False, True]),
    "b": target([0, 0, 10, 10]),
    "empty": target(),
}
PROPOSALS = {
    "a": boxes_of([0, 0, 5, 10], [50, 50, 60, 60], [0, 0, 7, 10]),
    "b": boxes_of(),
    "empty": boxes_of([0, 0, 5, 5]),
}


def test_best_overlap_with_each_object_that_is_not_difficult():
    overlaps, labels, images = best_overlaps(PROPOSALS, TARGETS)
    assert overlaps.tolist() == [0.7, 0.0, 0.0]
    assert labels.tolist() == [1, 2, 1]
    assert images.tolist() == [0, 0, 1]


def test_images_are_numbered_in_the_order_of_their_ids():
    backwards = dict(reversed(TARGETS.items()))
    assert best_overlaps(PROPOSALS, backwards).images.tolist() == [1, 0, 0]


def test_only_the_first_proposals_are_looked_at():
    assert best_overlaps(PROPOSALS, TARGETS, first=1)[0].tolist() == [0.5, 0.0, 0.0]
    assert best_overlaps(PROPOSALS, TARGETS, first=2)[0].tolist() == [0.5, 0.0, 0.0]
    assert best_overlaps(PROPOSALS, TARGETS, first=1000)[0].tolist() == [0.7, 0.0, 0.0]


def test_recall_includes_the_threshold():
    overlaps, *_ = best_overlaps(PROPOSALS, TARGETS)
    assert recall(overlaps, 0.7) == pytest.approx(1 / 3)
    assert recall(overlaps, 0.7 + 1e-9) == 0


def test_mabo_averages_classes_not_objects():
    assert mabo(*best_overlaps(PROPOSALS, TARGETS)[:2]) == pytest.approx((0.35 + 0.0) / 2)


@pytest.mark.parametrize("targets", [{}, {"empty": target()}, {"a": target([0, 0, 9, 9], difficult=[True])}])
def test_without_objects_there_is_no_recall(targets):
    overlaps, labels, _ = best_overlaps(PROPOSALS, targets)
    assert overlaps.shape == labels.shape == (0,)
    assert np.isnan([recall(overlaps, 0.5), mabo(overlaps, labels)]).all()


@settings(max_examples=30, deadline=None)
@given(st.integers(0, 2**32 - 1), st.integers(1, 30), st.integers(1, 8))
def test_best_overlap_is_that_of_torchvision(seed, num_proposals, num_objects):
    rng = np.random.default_rng(seed)
    corners = rng.random((num_proposals + num_objects, 2)) * 50
    boxes = np.concatenate([corners, corners + rng.random(corners.shape) * 50 + 1], axis=1).astype(np.float32)
    overlaps, *_ = best_overlaps({"a": boxes[num_objects:]}, {"a": target(*boxes[:num_objects])})
    expected = box_iou(torch.from_numpy(boxes[:num_objects]), torch.from_numpy(boxes[num_objects:])).amax(dim=1)
    np.testing.assert_allclose(overlaps, expected.numpy(), atol=1e-5)


@settings(max_examples=60, deadline=None)
@given(st.integers(1, 700), st.integers(1, 700), st.integers(0, 1200))
def test_sliding_window_gives_the_count_within_the_image(height, width, count):
    boxes = sliding_window((height, width), count)
    assert boxes.shape == (count, 4)
    assert boxes.dtype == np.float32
    assert (boxes >= 0).all()
    assert (boxes <= np.array([width, height, width, height]) + 1e-3).all()
    assert (boxes[:, 2:] > boxes[:, :2]).all()


def test_sliding_window_shares_the_count_among_the_shapes():
    boxes = sliding_window((400, 400), 50 * SHAPES)
    shapes, counts = np.unique((boxes[:, 2:] - boxes[:, :2]).round(2), axis=0, return_counts=True)
    assert set(counts) <= {50, 100}  # two of the largest shapes are equal after they are shortened to the image
    assert counts.sum() == 50 * SHAPES
    assert len(shapes) >= SHAPES - 1


def test_sliding_window_has_no_position_twice_and_covers_the_image():
    boxes = sliding_window((300, 500), 54 * SHAPES)
    smallest = boxes[54:108]  # squares of a tenth, in 10 columns and 6 rows
    assert len(np.unique(smallest, axis=0)) == 54
    centres = (smallest[:, :2] + smallest[:, 2:]) / 2
    np.testing.assert_allclose(centres.mean(axis=0), [250, 150], rtol=0.05)
    assert (centres.min(axis=0) < [70, 60]).all()
    assert (centres.max(axis=0) > [430, 240]).all()


def test_more_windows_find_more():
    rng = np.random.default_rng(0)
    corners = rng.random((100, 2)) * 300
    objects = np.concatenate([corners, corners + rng.random((100, 2)) * 180 + 20], axis=1).astype(np.float32)
    found = [
        recall(best_overlaps({"a": sliding_window((500, 500), count)}, {"a": target(*objects)})[0], 0.5)
        for count in (20, 200, 2000)
    ]
    assert found[0] < found[1] < found[2]
    assert found[2] > 0.6
