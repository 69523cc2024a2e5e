"""The penalty of a ridge regression, chosen by cross-validation over images.

Regions of one image look alike, so an image's pairs are all in the same fold. The products of each fold are computed
once: those of all pairs minus those of a fold give the fit without that fold, for any penalty.

P is the number of pairs, D of features, T of targets, L of penalties, K = min(P, D).
"""

from collections.abc import Iterator, Sequence

import numpy as np

FOLDS = 5


def held_out_errors(x: np.ndarray, y: np.ndarray, images: np.ndarray, penalties: Sequence[float]) -> np.ndarray | None:
    """Sum the squared errors [L] of all pairs, each predicted by a fit without its image's fold.

    With fewer pairs than features, the features are turned into K = P numbers with the same products, which changes no
    prediction. The memory is that of x in double precision, twice, and of `FOLDS` + 4 matrices [K, K].

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
        x = np.asarray(np.linalg.qr(x.T, mode="r")).T
    folds = [held_out for _, held_out in GroupKFold(min(FOLDS, num_images)).split(x, groups=images)]
    joined = np.concatenate([x, y, np.ones((len(x), 1))], axis=1)
    products = [joined[rows].T @ joined[rows] for rows in folds]
    total = sum(products, np.zeros_like(products[0]))
    errors = np.zeros(len(penalties))
    for rows, product in zip(folds, products, strict=True):
        for index, (w, b) in enumerate(_fits(total - product, x.shape[1], penalties)):
            errors[index] += np.square(y[rows] - x[rows] @ w - b).sum()
    return errors


def _fits(
    products: np.ndarray, num_features: int, penalties: Sequence[float]
) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """Yield the weights [K, T] and the intercept [T] for each penalty, from Z'Z for Z = (X, Y, 1)."""
    means = products[-1, :-1] / products[-1, -1]
    centred = products[:num_features, :-1] - np.outer(products[:num_features, -1], means)
    xx, xy = centred[:, :num_features], centred[:, num_features:]
    x_mean, y_mean = means[:num_features], means[num_features:]
    for penalty in penalties:
        w = np.linalg.solve(xx + penalty * np.eye(num_features), xy)
        yield w, y_mean - x_mean @ w
