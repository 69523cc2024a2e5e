"""How much a metric would move with other test images: a bootstrap over images (Efron and Tibshirani 1993, Ch. 6).

As many images as the test set has are drawn from it with replacement, B times, and the metric is computed of those
drawn. The spread of the B values is the metric's standard error. Of two revisions, the same draws give the spread of
the *difference*, which is smaller, for an image that is hard is hard for both. Objects and detections of one image are
drawn together, for they are not independent of each other.

The draws are those of one fixed seed, so a standard error is the same on every machine. Only test images are drawn: how
far two trainings differ by chance is another number (docs/comparing.md).

B counts resamples, I test images; image k is the k-th of the sorted image ids. `counts` is [B, I]. `accuracy` stands
here; average precision and recall in src/evaluation/resampled_detections.py and src/evaluation/resampled_proposals.py, so that no classifier
stands on these.
"""

import math
import warnings
from collections.abc import Mapping, Sequence

import numpy as np

RESAMPLES = 1000
SEED = 0


def draws(images: int, resamples: int = RESAMPLES, seed: int = SEED) -> np.ndarray:
    """How often each image is drawn in each resample, float64 [B, I] of whole numbers; `images` is at least 1."""
    rng = np.random.default_rng(seed)
    return rng.multinomial(images, np.full(images, 1 / images), size=resamples).astype(np.float64)


def standard_error(values: np.ndarray) -> float:
    """The standard deviation of a metric's resamples [B] that have one; nan where fewer than two have."""
    known = values[~np.isnan(values)]
    return float(known.std(ddof=1)) if len(known) > 1 else float("nan")


def interval(differences: np.ndarray, level: float = 0.95) -> tuple[float, float]:
    """The percentile interval of a difference from its resamples [B]; (nan, nan) where none has one.

    >>> interval(np.arange(9), level=0.5)
    (2.0, 6.0)
    """
    known = differences[~np.isnan(differences)]
    if not len(known):
        return float("nan"), float("nan")
    low, high = np.quantile(known, [(1 - level) / 2, (1 + level) / 2])
    return float(low), float(high)


def standard_errors(resampled: Mapping[str, np.ndarray]) -> dict[str, float | None]:
    """The standard error of each metric [B], as a metrics file holds it: null where there is none."""
    found = {name: standard_error(values) for name, values in resampled.items()}
    return {name: None if math.isnan(value) else value for name, value in found.items()}


def accuracy(right: np.ndarray, counts: np.ndarray) -> np.ndarray:
    """Share of the images that are `right` [I]."""
    return weighted_mean(right, np.arange(len(right)), counts)


def weighted_mean(values: np.ndarray, images: np.ndarray, counts: np.ndarray) -> np.ndarray:
    """Mean in each resample [B] of values [M], each of which counts as often as its image; nan where none was drawn.

    Args:
        values: [M], numbers or bools; M may be 0.
        images: [M], the image of each.
        counts: [B, I].
    """
    length = counts.shape[1]
    total, rows = (counts @ np.bincount(images, weights=w, minlength=length) for w in (values.astype(float), None))
    return np.where(rows > 0, total / np.maximum(rows, 1), np.nan)


def mean_over_classes(values: Sequence[np.ndarray], counts: np.ndarray) -> np.ndarray:
    """Mean [B] over the classes, each [B], that have a value in a resample; nan where none has."""
    if not values:
        return np.full(len(counts), np.nan)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", RuntimeWarning)  # "Mean of empty slice"
        return np.nanmean(values, axis=0)
