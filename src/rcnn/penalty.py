"""The penalty of a ridge regression, chosen by cross-validation over images.

Regions of one image look alike, so an image's pairs are all in the same fold. The sums of each fold (X'X, X'Y and the
means) are computed once: those of a fit without a fold are those of all pairs minus the fold's, for any penalty.

P is the number of pairs, D of features, T of targets, L of penalties, K = min(P, D).
"""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

FOLDS = 5


class Sums(NamedTuple):
    """All that a ridge regression needs to know of its pairs."""

    count: int
    x: np.ndarray  # [K]
    y: np.ndarray  # [T]
    xx: np.ndarray  # [K, K]
    xy: np.ndarray  # [K, T]


def held_out_errors(x: np.ndarray, y: np.ndarray, images: np.ndarray, penalties: Sequence[float]) -> np.ndarray | None:
    """Sum the squared errors [L] of all pairs, each predicted by a fit without its image's fold.

    With fewer pairs than features, the features are turned into K = P numbers with the same products, which changes no
    prediction. The memory is that of x in double precision and of 2 + `FOLDS` matrices [K, K].

    Args:
        x: [P, D].
        y: [P, T].
        images: [P], the image of each pair; None is returned if there are fewer than two images.
        penalties: L penalties.
    """
    if (num_images := len(np.unique(images))) < 2:
        return None
    from sklearn.model_selection import GroupKFold  # imported here: it takes a second

    x, y = x.astype(np.float64), y.astype(np.float64)
    if len(x) < x.shape[1]:
        x = np.linalg.qr(x.T, mode="r").T
    folds = [held_out for _, held_out in GroupKFold(min(FOLDS, num_images)).split(x, groups=images)]
    parts = [_sums(x[rows], y[rows]) for rows in folds]
    total = Sums(*(sum(values) for values in zip(*parts, strict=True)))  # type: ignore[arg-type]
    errors = np.zeros(len(penalties))
    for rows, part in zip(folds, parts, strict=True):
        for index, (w, b) in enumerate(_fits(total, part, penalties)):
            errors[index] += np.square(y[rows] - x[rows] @ w - b).sum()
    return errors


def _sums(x: np.ndarray, y: np.ndarray) -> Sums:
    return Sums(len(x), x.sum(axis=0), y.sum(axis=0), x.T @ x, x.T @ y)


def _fits(total: Sums, part: Sums, penalties: Sequence[float]) -> list[tuple[np.ndarray, np.ndarray]]:
    """Return the weights [K, T] and the intercept [T] of a fit to all pairs but those of `part`, for each penalty."""
    count, x, y, xx, xy = (whole - held_out for whole, held_out in zip(total, part, strict=True))
    x_mean, y_mean = x / count, y / count
    centred = xx - np.outer(x, x_mean)
    product = xy - np.outer(x, y_mean)
    weights = [np.linalg.solve(centred + penalty * np.eye(len(x)), product) for penalty in penalties]
    return [(w, y_mean - x_mean @ w) for w in weights]
