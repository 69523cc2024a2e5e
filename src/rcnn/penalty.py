"""The penalty of a ridge regression, chosen by cross-validation over images.

Regions of one image look alike, so an image's pairs are all in the same fold. The sums of each fold are computed once:
those of all pairs minus those of a fold give the fit without that fold, for any penalty.

P is the number of pairs, D of features, T of targets, L of penalties, K = min(P, D).
"""

from collections.abc import Sequence

import numpy as np

from src.rcnn.products import products, read_blocks, solutions, squared_error

FOLDS = 5


def held_out_errors(
    features: np.ndarray,
    factors: np.ndarray,
    rows: np.ndarray,
    y: np.ndarray,
    images: np.ndarray,
    penalties: Sequence[float],
) -> np.ndarray | None:
    """Sum the squared errors [L] of all pairs, each predicted by a fit without its image's fold.

    With fewer pairs than features, the features are turned into K = P numbers with the same products, which changes no
    prediction. The memory is at most that of `FOLDS` + 5 matrices [K, K] in double precision and a block of pairs, and
    before that, with fewer pairs than features, of three matrices [P, D]; so it does not grow with P.

    Args:
        features: [R, D], possibly a memory map.
        factors: [D], by which the features are multiplied.
        rows: [P], the row of each pair.
        y: [P, T].
        images: [P], the image of each pair; None is returned if there are fewer than two images.
        penalties: L penalties.
    """
    if (num_images := len(np.unique(images))) < 2:
        return None
    from sklearn.model_selection import GroupKFold  # imported here: it takes a second

    if reduced := len(rows) < features.shape[1]:
        x = np.concatenate([x for x, _ in read_blocks(features, factors, rows, y)], dtype=np.float64)
        x = np.asarray(np.linalg.qr(x.T, mode="r")).T
    sums = [
        products([(x[part], y[part])] if reduced else read_blocks(features, factors, rows[part], y[part]))
        for _, part in GroupKFold(min(FOLDS, num_images)).split(images, groups=images)
    ]
    total = sum(sums, np.zeros_like(sums[0]))
    errors = np.zeros(len(penalties))
    for held_out in sums:
        fits = solutions(total - held_out, min(len(rows), features.shape[1]), penalties)
        errors += [squared_error(held_out, w, b) for w, b in fits]
    return errors
