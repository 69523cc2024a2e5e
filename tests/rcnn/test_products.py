from pathlib import Path

import numpy as np
import pytest
from sklearn.linear_model import Ridge

from src.rcnn.products import products, read_blocks, solutions, squared_error


@pytest.mark.parametrize("count", [1, 6, 7, 8, 30])
def test_blocks_of_a_file_are_the_scaled_rows_and_their_targets(
    count: int, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr("src.rcnn.products.BLOCK", 7)
    rng = np.random.default_rng(0)
    features, factors = rng.normal(size=(40, 3)).astype(np.float16), np.array([1, 2, 0.5], np.float32)
    np.save(tmp_path / "features.npy", features)
    rows, y = rng.permutation(40)[:count], rng.normal(size=(count, 4))
    blocks = list(read_blocks(np.load(tmp_path / "features.npy", mmap_mode="r"), factors, rows, y))
    assert max(len(x) for x, _ in blocks) <= 7
    x, targets = (np.concatenate(part) for part in zip(*blocks, strict=True))
    np.testing.assert_array_equal(x, features[rows].astype(np.float32) * factors)
    np.testing.assert_array_equal(targets, y)
    z = np.c_[x, y, np.ones(count)]
    np.testing.assert_allclose(products(blocks), z.T @ z, rtol=1e-12, atol=1e-12)


def test_no_pair_is_no_block() -> None:
    assert not list(read_blocks(np.ones((3, 2)), np.ones(2, np.float32), np.zeros(0, int), np.zeros((0, 4))))


def test_solutions_and_errors_are_scikit_learns_ridge_for_each_penalty() -> None:
    rng = np.random.default_rng(0)
    x, y = rng.normal(100, 1, (50, 6)), rng.normal(size=(50, 4))
    sums = products([(x[:20], y[:20]), (x[20:], y[20:])])
    for penalty, (w, b) in zip([0.5, 1000.0, 2.0], solutions(sums, 6, [0.5, 1000.0, 2.0]), strict=True):
        oracle = Ridge(alpha=penalty).fit(x, y)
        np.testing.assert_allclose(w, oracle.coef_.T, atol=1e-8)
        np.testing.assert_allclose(b, oracle.intercept_, atol=1e-6)
        assert squared_error(sums, w, b) == pytest.approx(np.square(y - x @ w - b).sum(), rel=1e-6)


def test_the_error_of_an_exact_fit_is_not_below_0() -> None:
    for seed in range(20):
        rng = np.random.default_rng(seed)
        x, w = rng.normal(size=(50, 6)), rng.normal(size=(6, 4))
        assert squared_error(products([(x, x @ w + 1)]), w, np.ones(4)) >= 0
