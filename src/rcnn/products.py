"""Ridge regression from sums over its pairs, which are read in blocks, so that memory does not grow with the pairs.

With Z = (X, Y, 1), the matrix Z'Z holds all that the regression needs, for any penalty. The intercept has no penalty.

P is the number of pairs, D of features of a region, T of targets.
"""

from collections.abc import Iterable, Iterator, Sequence

import numpy as np

from src.rcnn.planes import take

BLOCK = 1024  # pairs to read at a time


def read_blocks(
    features: np.ndarray, factors: np.ndarray, rows: np.ndarray, y: np.ndarray
) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """Yield at most `BLOCK` pairs at a time: their scaled features [N, D], float32, and their targets [N, T].

    Args:
        features: [R, D], possibly a memory map, whose pages are let go of.
        factors: [D], by which the features are multiplied.
        rows: [P], rows of the features; P may be 0.
        y: [P, T].
    """
    for start in range(0, len(rows), BLOCK):
        block = slice(start, start + BLOCK)
        yield take(features, rows[block], factors), y[block]


def products(blocks: Iterable[tuple[np.ndarray, np.ndarray]]) -> np.ndarray:
    """Sum Z'Z [D + T + 1, D + T + 1] in double precision over blocks of pairs, of which there is at least one."""
    total: np.ndarray | None = None
    for x, y in blocks:
        z = np.concatenate([x, y, np.ones((len(x), 1))], axis=1, dtype=np.float64)
        if total is None:
            total = z.T @ z
        else:
            total += z.T @ z
    assert total is not None
    return total


def solutions(
    sums: np.ndarray, num_features: int, penalties: Sequence[float]
) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """Yield the weights w [D, T] and the intercept b [T] that minimise |y - x w - b|^2 + penalty |w|^2.

    Args:
        sums: Z'Z.
        num_features: D.
        penalties: one or more.
    """
    means = sums[-1, :-1] / sums[-1, -1]
    centred = sums[:num_features, :-1] - np.outer(sums[:num_features, -1], means)
    xx, xy = centred[:, :num_features], centred[:, num_features:]
    x_mean, y_mean = means[:num_features], means[num_features:]
    diagonal = xx.diagonal().copy()
    for penalty in penalties:
        np.fill_diagonal(xx, diagonal + penalty)
        w = np.linalg.solve(xx, xy)
        yield w, y_mean - x_mean @ w


def squared_error(sums: np.ndarray, w: np.ndarray, b: np.ndarray) -> float:
    """Compute the sum of the squares of y - x w - b over the pairs of Z'Z, for w [D, T] and b [T]."""
    left = np.concatenate([-w, np.eye(len(b)), -b[None]])  # [D + T + 1, T], so that Z left = y - x w - b
    return max(float(np.einsum("zt,zt->", left, sums @ left)), 0.0)
