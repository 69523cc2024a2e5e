import numpy as np
import pytest
from sklearn.linear_model import Ridge
from sklearn.model_selection import GroupKFold, cross_val_predict

from src.rcnn import penalty
from src.rcnn.penalty import FOLDS

PENALTIES = [0.1, 10.0, 1000.0]


def held_out_errors(x: np.ndarray, y: np.ndarray, images: np.ndarray, penalties: list[float]) -> np.ndarray | None:
    """Return the errors of pairs that are rows of a larger array, scaled, in another order."""
    rows = np.random.default_rng(0).permutation(2 * len(x))[: len(x)]
    features = np.full((2 * len(x), x.shape[1]), 9, x.dtype)
    features[rows] = x * 2
    return penalty.held_out_errors(features, np.full(x.shape[1], 0.5, np.float32), rows, y, images, penalties)


@pytest.mark.parametrize(("count", "width"), [(200, 6), (40, 90), (30, 30)])
@pytest.mark.parametrize("num_images", [2, 3, 12])
def test_errors_are_those_of_scikit_learns_ridge_and_folds(
    count: int, width: int, num_images: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("src.rcnn.products.BLOCK", 7)
    rng = np.random.default_rng(count)
    x, y = rng.normal(2, 3, (count, width)).astype(np.float16), rng.normal(1, 2, (count, 4)).astype(np.float32)
    images = rng.permutation(np.arange(count) % num_images)
    found = held_out_errors(x, y, images, PENALTIES)
    folds = GroupKFold(min(FOLDS, num_images))
    for error, one in zip(found, PENALTIES, strict=True):
        answer = cross_val_predict(Ridge(alpha=one), x.astype(float), y.astype(float), groups=images, cv=folds)
        assert error == pytest.approx(np.square(answer - y).sum(), rel=1e-6)


def test_pairs_of_an_image_do_not_predict_each_other() -> None:
    """With folds over pairs, features that only tell the image would seem to tell the deltas, without any penalty."""
    rng = np.random.default_rng(0)
    images = np.repeat(np.arange(20), 10)
    x, y = np.eye(20)[images] * 10, rng.normal(size=(20, 4))[images]
    small, large = held_out_errors(x, y, images, [1e-3, 1e6])
    assert small > large
    apart, _ = held_out_errors(x, y, np.arange(200), [1e-3, 1e6])
    assert apart < 0.01 * large


def test_one_image_or_no_pair_has_no_held_out_error() -> None:
    assert held_out_errors(np.ones((3, 2)), np.ones((3, 4)), np.zeros(3, int), PENALTIES) is None
    assert held_out_errors(np.ones((0, 2)), np.ones((0, 4)), np.zeros(0, int), PENALTIES) is None
