import tracemalloc
from pathlib import Path

import numpy as np
import pytest
import torch
from pydantic import ValidationError
from sklearn.linear_model import Ridge

from src.boxes.geometry import decode, encode
from src.boxes.overlap import iou
from src.errors import InputError
from src.rcnn import bbox
from src.rcnn.bbox import Pairs, TrainBbox, choose, fit_all, pairs, ridge
from src.rcnn.warp import warp
from tests.boxes.test_geometry import flip
from tests.files.test_room import leave
from tests.rcnn.regions import record, target

CAR, DOG = [0.0, 0, 10, 10], [30.0, 30, 50, 50]
TARGETS = {"a": target([CAR, DOG], [1, 2]), "none": target([], []), "b": target([CAR], [1])}
REGIONS = {
    "a": record([CAR, DOG], [[1, 0, 11, 10], [5, 0, 15, 10], [31, 30, 50, 50]]),
    "none": record([], [[0, 0, 10, 10]]),
    "b": record([CAR], [[40, 40, 50, 50], [0, 1, 10, 11]]),
}


def fit(x: np.ndarray, deltas: np.ndarray, penalty: float) -> tuple[np.ndarray, np.ndarray]:
    """Fit the regression of pairs whose features are the rows of an array, unscaled."""
    found = Pairs(np.arange(len(x)), deltas, np.zeros(len(x), int))
    return bbox.fit(x, np.ones(x.shape[1], np.float32), found, penalty)


def test_pairs_are_the_near_proposals_of_the_class_with_the_deltas_to_its_object() -> None:
    found = pairs(REGIONS, TARGETS, 1, 0.6)
    assert found.images.tolist() == [0, 2]
    assert found.rows.tolist() == [2, 8]  # images without the class or without objects do not shift the rows
    boxes = np.concatenate([entry["boxes"] for entry in REGIONS.values()])
    moved = decode(torch.from_numpy(boxes[found.rows]), torch.from_numpy(found.deltas))
    torch.testing.assert_close(moved, torch.tensor([CAR, CAR]), atol=1e-5, rtol=0)
    np.testing.assert_allclose(found.deltas, [[-0.1, 0, 0, 0], [0, -0.1, 0, 0]], atol=1e-6)
    assert pairs(REGIONS, TARGETS, 2, 0.6).rows.tolist() == [4]


def test_true_boxes_teach_nothing_and_the_threshold_itself_is_out() -> None:
    regions = {"a": record([CAR], [[0, 0, 10, 6], [0, 0, 10, 5], [0, 0, 10, 7]])}  # IoU 0.6, 0.5, 0.7
    found = pairs(regions, {"a": target([CAR], [1])}, 1, float(np.float32(0.6)))
    assert found.rows.tolist() == [3]


def test_a_mirrored_region_has_to_move_the_other_way_along_x() -> None:
    """The bug would be to pair the features of the mirrored crop with the deltas of the original crop."""
    regions = {"a": record([CAR], [[1, 1, 11, 12], [1, 1, 11, 12]])}
    regions["a"]["flipped"][2] = True
    found = pairs(regions, {"a": target([CAR], [1])}, 1, 0.6)
    assert found.rows.tolist() == [1, 2]
    width = 100.0
    mirrored = flip(torch.from_numpy(regions["a"]["boxes"][2:]), width)
    moved = decode(mirrored, torch.from_numpy(found.deltas[1:]))  # the deltas are correct in the mirrored image
    torch.testing.assert_close(flip(moved, width), torch.tensor([CAR]), atol=1e-5, rtol=0)
    np.testing.assert_array_equal(found.deltas[0] * [-1, 1, 1, 1], found.deltas[1])


def test_difficult_objects_teach_nothing() -> None:
    regions = {"a": record([], [[1, 0, 11, 10]])}
    assert len(pairs(regions, {"a": target([CAR], [1], [True])}, 1, 0.6).rows) == 0


def test_no_object_is_no_pair() -> None:
    found = pairs({"none": REGIONS["none"]}, TARGETS, 1, 0.6)
    assert found.rows.shape == (0,)
    assert found.deltas.shape == (0, 4)
    assert pairs({}, {}, 1, 0.6).deltas.shape == (0, 4)


@pytest.mark.parametrize(("count", "width"), [(60, 8), (8, 60), (20, 20), (1, 5), (5, 1)])
@pytest.mark.parametrize("penalty", [0.5, 1000.0])
def test_ridge_agrees_with_scikit_learn_with_more_and_with_fewer_pairs_than_features(
    count: int, width: int, penalty: float
) -> None:
    rng = np.random.default_rng(count)
    x, y = rng.normal(3, 2, (count, width)), rng.normal(-1, 1, (count, 4))
    w, b = ridge(x, y, penalty)
    oracle = Ridge(alpha=penalty).fit(x, y)
    np.testing.assert_allclose(w, oracle.coef_.T, atol=1e-8)
    np.testing.assert_allclose(b, oracle.intercept_, atol=1e-8)


def test_ridge_takes_half_precision_and_computes_in_double() -> None:
    rng = np.random.default_rng(0)
    x, y = rng.normal(100, 1, (50, 6)).astype(np.float16), rng.normal(size=(50, 4)).astype(np.float32)
    w, _ = ridge(x, y, 1.0)
    np.testing.assert_allclose(w, Ridge(alpha=1.0).fit(x.astype(float), y.astype(float)).coef_.T, atol=1e-8)


@pytest.mark.parametrize("width", [5, 80])
def test_a_linear_map_is_recovered_where_the_penalty_is_tiny(width: int) -> None:
    rng = np.random.default_rng(0)
    x, w, b = rng.normal(size=(40, width)), rng.normal(size=(width, 4)), np.array([0.1, -0.2, 0.5, 0.0])
    deltas = (x @ w + b).astype(np.float32)
    found_w, found_b = fit(x, deltas, 1e-9)
    np.testing.assert_allclose(x @ found_w + found_b, deltas, atol=1e-3)
    if width < len(x):
        np.testing.assert_allclose(found_w, w, atol=1e-3)


def test_a_large_penalty_leaves_the_mean() -> None:
    rng = np.random.default_rng(0)
    deltas = rng.normal([0.5, 0, -0.2, 0.1], 0.1, (30, 4)).astype(np.float32)
    w, b = fit(rng.normal(size=(30, 6)), deltas, 1e12)
    np.testing.assert_allclose(w, 0, atol=1e-6)
    np.testing.assert_allclose(b, deltas.mean(0), atol=1e-5)


@pytest.mark.parametrize(("count", "width"), [(200, 6), (20, 50)])
def test_a_fit_is_the_ridge_of_the_plain_targets_in_blocks_of_any_size(
    count: int, width: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("src.rcnn.products.BLOCK", 7)
    rng = np.random.default_rng(0)
    x, deltas = rng.normal(1, 2, (count, width)), rng.normal(0.2, [0.1, 0.1, 0.3, 1.0], (count, 4)).astype(np.float32)
    w, b = fit(x, deltas, 100.0)
    # Ridge is linear in its targets, so whitening them and undoing it afterwards changes nothing.
    oracle = Ridge(alpha=100.0).fit(x, deltas.astype(float))
    np.testing.assert_allclose(w, oracle.coef_.T, atol=1e-6)
    np.testing.assert_allclose(b, oracle.intercept_, atol=1e-6)


def test_no_pair_leaves_boxes_where_they_are() -> None:
    w, b = fit(np.zeros((0, 6), np.float16), np.zeros((0, 4), np.float32), 1000.0)
    assert w.shape == (6, 4)
    assert not w.any()
    assert not b.any()


def test_one_pair_and_pairs_all_alike_are_fitted_too() -> None:
    for count in (1, 5):
        w, b = fit(np.ones((count, 3)), np.full((count, 4), 0.2, np.float32), 10.0)
        np.testing.assert_allclose(np.ones((1, 3)) @ w + b, 0.2, atol=1e-6)


def _profiles(crops: np.ndarray) -> np.ndarray:
    """Return the means of columns and of rows: features that show the position of an object in its crop."""
    return np.concatenate([crops.mean((1, 3)), crops.mean((2, 3))], axis=1) / 255


def test_a_flip_without_negated_tx_teaches_the_wrong_targets() -> None:
    """The published code flips half of the crops but not their targets, so y is learnt and x is not."""
    rng = np.random.default_rng(0)
    image, gt_box = np.zeros((100, 100, 3), np.uint8), torch.tensor([[40.0, 40, 60, 60]])
    image[40:60, 40:60] = 255
    shifts = torch.from_numpy(rng.uniform(-4, 4, (200, 4)).astype(np.float32))
    boxes = gt_box + shifts
    deltas = encode(boxes, gt_box.expand(200, 4)).numpy()
    features = _profiles(warp(image, boxes.numpy(), size=24, context=6))

    def left(w: np.ndarray, b: np.ndarray) -> np.ndarray:
        return np.abs(features @ w + b - deltas).mean(0) / np.abs(deltas).mean(0)

    assert (left(*fit(features, deltas, 0.01)) < 0.2).all()
    flipped = rng.random(200) < 0.5
    mirrored = _profiles(warp(image, boxes.numpy(), size=24, context=6, flipped=flipped))
    assert left(*fit(mirrored, deltas, 0.01))[0] > 0.7
    turned = encode(flip(boxes, 100), flip(gt_box, 100).expand(200, 4)).numpy()
    np.testing.assert_allclose(turned, deltas * [-1, 1, 1, 1], atol=1e-5)
    right = np.where(flipped[:, None], turned, deltas)
    assert (left(*fit(mirrored, right, 0.01)) < 0.2).all()


def test_regression_moves_boxes_that_it_has_not_seen_onto_their_object() -> None:
    rng = np.random.default_rng(1)
    image, car = np.zeros((100, 100, 3), np.uint8), [40.0, 40, 60, 60]
    image[40:60, 40:60] = 255
    near = (np.array(car) + rng.uniform(-3, 3, (150, 4))).astype(np.float32)
    regions = {"a": record([car], near[:100].tolist())}
    found = pairs(regions, {"a": target([car], [1])}, 1, 0.6)
    assert len(found.rows) > 50
    features = _profiles(warp(image, regions["a"]["boxes"], size=24, context=6))
    w, b = fit(features[found.rows], found.deltas, 0.01)
    unseen = torch.from_numpy(near[100:])
    moved = decode(unseen, torch.from_numpy(_profiles(warp(image, near[100:], size=24, context=6)) @ w + b))
    before, after = (iou(boxes, torch.tensor([car])).mean() for boxes in (unseen, moved))
    assert after > 0.92 > 0.85 > before


def test_the_penalty_is_chosen_over_all_classes_by_their_number_of_pairs() -> None:
    rng = np.random.default_rng(0)
    features, factors = rng.normal(size=(400, 5)).astype(np.float16), np.full(5, 2, np.float32)
    scaled = features.astype(np.float32) * factors
    exact, noise = (scaled[:300] @ rng.normal(size=(5, 4))).astype(np.float32), rng.normal(size=(100, 4))
    linear = Pairs(np.arange(300), exact, np.arange(300) // 10)
    random = Pairs(np.arange(300, 400), noise.astype(np.float32), np.arange(100) // 10)
    assert choose(features, factors, [linear], [1e-2, 1e9])[0] == 1e-2
    assert choose(features, factors, [random], [1e-2, 1e9])[0] == 1e9
    penalty, errors = choose(features, factors, [linear, random], [1e-2, 1e9])
    assert penalty == 1e-2
    assert errors is not None
    separate = [choose(features, factors, [kind], [1e-2, 1e9])[1] for kind in (linear, random)]
    np.testing.assert_allclose(errors, 0.75 * np.array(separate[0]) + 0.25 * np.array(separate[1]))


def test_one_penalty_is_no_choice_and_too_few_images_leave_the_largest() -> None:
    features, factors = np.ones((4, 3), np.float16), np.ones(3, np.float32)
    alone = Pairs(np.arange(4), np.ones((4, 4), np.float32), np.zeros(4, int))
    nothing = pairs({}, {}, 1, 0.6)
    assert choose(features, factors, [alone, nothing], [5.0]) == (5.0, None)
    assert choose(features, factors, [alone, nothing], [5.0, 7.0, 6.0]) == (7.0, None)


def test_a_number_is_a_list_of_one() -> None:
    assert TrainBbox.model_validate({"iou_thresh": 0.6, "ridge_lambda": 3.0}).ridge_lambda == [3.0]
    assert TrainBbox.model_validate({"iou_thresh": 0.6, "ridge_lambda": [3.0, 1.0]}).ridge_lambda == [3.0, 1.0]
    for wrong in ([], "many", [0.0], [1.0, None]):
        with pytest.raises(ValidationError):
            TrainBbox.model_validate({"iou_thresh": 0.6, "ridge_lambda": wrong})


def test_memory_does_not_grow_with_the_pairs() -> None:
    """A VOC class has tens of thousands of pairs; all at once, in double precision, they were gigabytes."""
    width, rng = 128, np.random.default_rng(0)
    rules = TrainBbox(iou_thresh=0.6, ridge_lambda=[1.0, 10.0])

    def peak(num_images: int) -> int:
        boxes = np.array([CAR] * 1000, np.float32)
        entry = {"boxes": boxes, "is_gt": np.zeros(1000, bool), "flipped": np.zeros(1000, bool)}
        regions = {str(number): entry for number in range(num_images)}
        targets = {str(number): target([CAR], [1]) for number in range(num_images)}
        features = rng.random((1000 * num_images, width), np.float32).astype(np.float16)
        tracemalloc.start()
        try:
            fit_all(features, np.ones(width, np.float32), regions, targets, ["car"], rules)
            return tracemalloc.get_traced_memory()[1]
        finally:
            tracemalloc.stop()

    peak(2)  # imports
    fewer, more = peak(10), peak(40)
    assert more - fewer < 30_000 * 4 * width  # less than the features of the further pairs in single precision


@pytest.mark.parametrize(("penalties", "matrices"), [([1.0], 5), ([1.0, 10.0], 10)])
def test_a_regression_that_does_not_fit_into_memory_is_refused_before_a_fit(
    monkeypatch: pytest.MonkeyPatch, penalties: list[float], matrices: int
) -> None:
    """Of 30 pairs and 200 numbers a matrix has 6,000 numbers, and of 300 pairs 40,000."""
    rules = TrainBbox(iou_thresh=0.6, ridge_lambda=penalties)
    monkeypatch.setattr("src.rcnn.bbox.choose", lambda *_: pytest.fail("a fit began"))
    for count, numbers in ((30, 6000), (300, 40_000)):
        entry = {"boxes": np.array([CAR] * count, np.float32), "is_gt": np.zeros(count, bool)}
        regions = {"a": {**entry, "flipped": np.zeros(count, bool)}}
        leave(monkeypatch, 0, memory=matrices * numbers * 8 - 1)
        with pytest.raises(InputError, match=rf"^{matrices} matrices for the box regression of 200 .* of memory"):
            fit_all(np.ones((count, 200)), np.ones(200), regions, {"a": target([CAR], [1])}, ["car"], rules)


def test_pages_of_a_file_of_features_are_let_go_of(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    released: list[object] = []
    monkeypatch.setattr("src.rcnn.planes.release", released.append)
    np.save(tmp_path / "features.npy", np.ones((9, 3), np.float16))
    stored = np.load(tmp_path / "features.npy", mmap_mode="r")
    fit_all(stored, np.ones(3, np.float32), REGIONS, TARGETS, ["car"], TrainBbox(iou_thresh=0.6, ridge_lambda=[1.0]))
    assert len(released) == 2  # of the fit and of its error
    assert all(one is stored for one in released)
