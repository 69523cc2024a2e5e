import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torchvision.ops import batched_nms

from src.boxes.geometry import clip, decode, encode
from src.rcnn.detect import DetectRcnn, detect, select

SETTINGS = DetectRcnn(score_thresh=0.0, nms_thresh=0.3, max_per_image=100)


def scene(seed: int, count: int, num_classes: int) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    corners = rng.uniform(0, 60, (count, 2))
    boxes = np.concatenate([corners, corners + rng.uniform(5, 40, (count, 2))], axis=1).astype(np.float32)
    return boxes, rng.normal(size=(count, num_classes)).astype(np.float32)


@given(seed=st.integers(0, 1000), count=st.integers(0, 40), cap=st.integers(1, 40))
def test_what_stays_agrees_with_torchvisions_batched_nms(seed: int, count: int, cap: int) -> None:
    boxes, scores = scene(seed, count, 3)
    settings = SETTINGS.model_copy(update={"max_per_image": cap})
    above, label = np.nonzero(scores > 0)
    kept = batched_nms(
        torch.from_numpy(boxes[above]), torch.from_numpy(scores[above, label]), torch.from_numpy(label), 0.3
    ).numpy()
    for column in range(3):
        expected = [above[index] for index in kept if label[index] == column][:cap]
        assert select(boxes, scores[:, column], settings).tolist() == expected


def test_select_keeps_what_is_above_the_threshold_and_drops_what_overlaps_more() -> None:
    boxes = np.array([[0, 0, 10, 10], [0, 0, 10, 9], [50, 50, 60, 60], [20, 20, 30, 30]], np.float32)
    assert select(boxes, np.array([0.5, 0.9, 0.0, 0.7], np.float32), SETTINGS).tolist() == [1, 3]


@pytest.fixture
def found() -> dict[str, np.ndarray]:
    boxes, scores = scene(0, 60, 3)
    return detect(boxes, scores, SETTINGS, size=(100, 100))


def test_detections_have_the_form_of_the_contract(found: dict[str, np.ndarray]) -> None:
    assert set(found) == {"boxes", "labels", "scores"}
    assert found["boxes"].dtype == found["scores"].dtype == np.float32
    assert found["boxes"].shape == (len(found["labels"]), 4)
    assert set(found["labels"]) == {1, 2, 3}  # 0 is background
    assert (np.diff(found["labels"]) >= 0).all()
    for label in (1, 2, 3):
        assert (np.diff(found["scores"][found["labels"] == label]) <= 0).all()


def test_without_corrections_detections_are_proposals_with_their_scores(found: dict[str, np.ndarray]) -> None:
    boxes, scores = scene(0, 60, 3)
    for box, label, score in zip(found["boxes"], found["labels"], found["scores"], strict=True):
        row = np.flatnonzero((boxes == box).all(axis=1))
        assert score in scores[row, label - 1]


def test_each_class_has_its_own_cap() -> None:
    boxes, scores = scene(0, 60, 3)
    found = detect(boxes, scores, SETTINGS.model_copy(update={"max_per_image": 2}), size=(100, 100))
    assert found["labels"].tolist() == [1, 1, 2, 2, 3, 3]


def test_deltas_of_each_row_and_class_move_the_box_and_the_border_cuts_it() -> None:
    boxes = np.array([[10, 10, 20, 20], [60, 60, 90, 90], [30, 30, 35, 35]], np.float32)
    scores = np.array([[1.0, -1], [2.0, 3.0], [-1, -1]], np.float32)
    deltas = np.zeros((3, 2, 4), np.float32)
    deltas[0, 0] = [0.5, 0, 0, 0]
    deltas[1, 0] = [1, 0, 0, 0]  # beyond the image's border
    deltas[1, 1] = [0, 0, np.log(0.5), np.log(0.5)]
    found = detect(boxes, scores, SETTINGS, size=(95, 100), deltas=deltas)
    np.testing.assert_allclose(
        found["boxes"], [[90, 60, 100, 90], [15, 10, 25, 20], [67.5, 67.5, 82.5, 82.5]], atol=1e-4
    )
    assert found["labels"].tolist() == [1, 1, 2]
    assert found["scores"].tolist() == [2, 1, 3]


def test_two_regions_moved_onto_one_object_are_one_detection() -> None:
    boxes, gt_box = np.array([[0, 0, 20, 20], [15, 0, 35, 20]], np.float32), torch.tensor([[8.0, 0, 28, 20]])
    scores = np.array([[0.6], [0.9]], np.float32)
    deltas = encode(torch.from_numpy(boxes), gt_box.expand(2, 4)).numpy()[:, None]
    assert len(detect(boxes, scores, SETTINGS, size=(50, 50))["boxes"]) == 2
    found = detect(boxes, scores, SETTINGS, size=(50, 50), deltas=deltas)
    np.testing.assert_allclose(found["boxes"], gt_box, atol=1e-4)
    assert found["scores"].tolist() == pytest.approx([0.9])


@given(seed=st.integers(0, 1000))
def test_corrected_boxes_lie_inside_the_image_and_do_not_overlap_within_a_class(seed: int) -> None:
    boxes, scores = scene(seed, 30, 2)
    deltas = np.random.default_rng(seed).normal(0, 2, (30, 2, 4)).astype(np.float32)
    found = detect(boxes, scores, SETTINGS, size=(80, 90), deltas=deltas)
    assert (found["boxes"] >= 0).all()
    assert (found["boxes"] <= [90, 80, 90, 80]).all()
    for label in (1, 2):
        mine = torch.from_numpy(found["boxes"][found["labels"] == label])
        kept = batched_nms(mine, torch.arange(len(mine), 0, -1.0), torch.zeros(len(mine), dtype=torch.long), 0.3)
        assert kept.tolist() == list(range(len(mine)))


def test_wild_deltas_stay_finite() -> None:
    boxes = np.array([[10, 10, 20, 20]], np.float32)
    deltas = np.full((1, 1, 4), 1000, np.float32)
    assert np.isfinite(
        detect(boxes, np.ones((1, 1), np.float32), SETTINGS, size=(50, 50), deltas=deltas)["boxes"]
    ).all()
    torch.testing.assert_close(
        clip(decode(torch.from_numpy(boxes), torch.zeros(1, 4)), (50, 50)), torch.from_numpy(boxes)
    )


@pytest.mark.parametrize("with_deltas", [False, True])
@pytest.mark.parametrize("count", [0, 3])
def test_an_image_without_proposals_or_without_high_scores_has_no_detections(count: int, with_deltas: bool) -> None:
    boxes = scene(0, count, 2)[0]
    deltas = np.zeros((count, 2, 4), np.float32) if with_deltas else None
    found = detect(boxes, np.full((count, 2), -5, np.float32), SETTINGS, size=(50, 50), deltas=deltas)
    assert found["boxes"].shape == (0, 4)
    assert found["boxes"].dtype == found["scores"].dtype == np.float32
    assert found["labels"].shape == found["scores"].shape == (0,)
    assert found["labels"].dtype == np.int64
