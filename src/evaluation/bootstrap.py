"""Standard errors and intervals of metrics, by a bootstrap over test images (Efron and Tibshirani 1993, Ch. 6).

A resample has as many images as the test set, chosen from it at random with replacement. The metric is computed from
these images. The spread of the metric over B resamples is its standard error. For two revisions, the same resamples
give the spread of the *difference*. It is smaller, because an image that is hard for one revision is hard for the other
too. The objects and detections of an image stay together, because they are not independent of each other.

The seed is fixed, so a standard error is the same on every machine. Only test images are resampled: the difference of
two trainings by chance is another number (docs/comparing.md).

B is the number of resamples, I that of test images; image k is the k-th of the sorted image ids. `counts` [B, I] holds
how often each resample has each image. `accuracy` is in this module. Average precision and recall are in
src/evaluation/resampled_detections.py and src/evaluation/resampled_proposals.py, so that classifiers do not depend on
these modules.
"""

import math
import warnings
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from src.parallel import Jobs

RESAMPLES = 1000
SEED = 0
PARTS = 32  # of the resamples, for several processes


def draws(images: int, resamples: int = RESAMPLES, seed: int = SEED) -> np.ndarray:
    """Count how often each resample has each image, float64 [B, I] of whole numbers; `images` is at least 1."""
    rng = np.random.default_rng(seed)
    return rng.multinomial(images, np.full(images, 1 / images), size=resamples).astype(np.float64)


def in_parts(
    metrics: Callable[[np.ndarray], Mapping[str, np.ndarray]], counts: np.ndarray, jobs: "Jobs"
) -> Mapping[str, np.ndarray]:
    """Compute `metrics(counts)`, each [B], in several processes, each of which takes some of the resamples; B is not 0.

    The result is the same to the bit if the sums in `metrics` are of whole numbers; with others, a product of matrices
    may add a row in another order.
    """
    if jobs == 1:
        return metrics(counts)
    from src.parallel import parallel_map  # here, not above: most evaluations are done before it is imported

    found = parallel_map(metrics, np.array_split(counts, min(PARTS, len(counts))), jobs, "resamples")
    return {name: np.concatenate([part[name] for part in found]) for name in found[0]}


def standard_error(values: np.ndarray) -> float:
    """Compute the standard deviation of a metric over its resamples [B] without nan; nan if fewer than two are left."""
    known = values[~np.isnan(values)]
    return float(known.std(ddof=1)) if len(known) > 1 else float("nan")


def interval(differences: np.ndarray, level: float = 0.95) -> tuple[float, float]:
    """Compute the percentile interval of a difference from its resamples [B] without nan; (nan, nan) if none is left.

    >>> interval(np.arange(9), level=0.5)
    (2.0, 6.0)
    """
    known = differences[~np.isnan(differences)]
    if not len(known):
        return float("nan"), float("nan")
    low, high = np.quantile(known, [(1 - level) / 2, (1 + level) / 2])
    return float(low), float(high)


def standard_errors(resampled: Mapping[str, np.ndarray]) -> dict[str, float | None]:
    """Compute the standard error of each metric [B] for a metrics file: None if there is none."""
    errors = {name: standard_error(values) for name, values in resampled.items()}
    return {name: None if math.isnan(error) else error for name, error in errors.items()}


def accuracy(right: np.ndarray, counts: np.ndarray) -> np.ndarray:
    """Compute the share of the images that are `right` [I], in each resample [B]."""
    return weighted_mean(right, np.arange(len(right)), counts)


def weighted_mean(values: np.ndarray, images: np.ndarray, counts: np.ndarray) -> np.ndarray:
    """Compute the mean of values [M] in each resample; each value counts as often as its image.

    Args:
        values: [M], numbers or bools; M may be 0.
        images: [M], the image of each value: an index into the sorted image ids.
        counts: [B, I].

    Returns:
        [B]; nan if a resample has none of these images.
    """
    length = counts.shape[1]
    total, rows = (counts @ np.bincount(images, weights=w, minlength=length) for w in (values.astype(float), None))
    return np.where(rows > 0, total / np.maximum(rows, 1), np.nan)


def mean_over_classes(values: Sequence[np.ndarray], counts: np.ndarray) -> np.ndarray:
    """Compute the mean [B] over the classes, each [B], that have a value in a resample; nan if no class has one."""
    if not values:
        return np.full(len(counts), np.nan)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", RuntimeWarning)  # "Mean of empty slice"
        return np.nanmean(values, axis=0)
