"""How much a metric would move with other test images: a bootstrap over images (Efron and Tibshirani 1993, Ch. 6).

As many images as there are are drawn with replacement, B times, and the metric is computed of those drawn. The spread
of the B values is the standard error of the metric; of two methods or revisions, the same draws give the spread of the
*difference*, which is smaller, for an image that is hard is hard for both. Objects and detections of one image are
drawn together: they are no independent draws.

Nothing is matched or sorted again: an image that is drawn twice counts twice (`counts`), so a precision is a ratio of
weighted sums. That is the metric of a data set in which the image is there twice, but for detections of one image with
the very same score. The draws are those of one fixed seed, so a standard error is the same on every machine. What is
drawn is test images alone: how far two trainings differ by chance is another number (docs/comparing.md).

B counts resamples, I test images, K the detections of a class that found an object, R recalls. `counts` is [B, I]; the
functions of a metric return it for each resample [B], nan where a resample has nothing to find.
"""

import warnings
from collections.abc import Mapping

import numpy as np

from src.average_precision import COCO_RECALLS, FALSE, TRUE, VOC07_RECALLS, Outcomes
from src.proposal_recall import Covered

RESAMPLES = 1000
SEED = 0


def draws(images: int, resamples: int = RESAMPLES, seed: int = SEED) -> np.ndarray:
    """How often each image is drawn in each resample, float64 [B, I] of whole numbers; `images` is at least 1.

    Image k is the k-th of the sorted image ids, in every function here.
    """
    rng = np.random.default_rng(seed)
    return rng.multinomial(images, np.full(images, 1 / images), size=resamples).astype(np.float64)


def standard_error(values: np.ndarray) -> float:
    """The standard deviation of a metric's resamples [B] that have one; nan where fewer than two have."""
    known = values[~np.isnan(values)]
    return float(known.std(ddof=1)) if len(known) > 1 else float("nan")


def interval(differences: np.ndarray, level: float = 0.95) -> tuple[float, float]:
    """The percentile interval of a difference from its resamples [B]; (nan, nan) where none has one.

    >>> interval(np.arange(101) / 100)
    (0.025, 0.975)
    """
    known = differences[~np.isnan(differences)]
    if not len(known):
        return float("nan"), float("nan")
    low, high = np.quantile(known, [(1 - level) / 2, (1 + level) / 2])
    return float(low), float(high)


def voc07_map(outcomes: Mapping[str, Outcomes], counts: np.ndarray) -> np.ndarray:
    """Mean over the classes of VOC 2007's AP, of `voc_outcomes`; a class without objects in a resample is left out."""
    return _mean([_interpolated(found, VOC07_RECALLS, counts) for found in outcomes.values()], counts)


def coco_map(outcomes: Mapping[str, Outcomes], counts: np.ndarray) -> np.ndarray:
    """Mean over the classes of COCO's AP, of `coco_outcomes`; a class without objects in a resample is left out."""
    return _mean([_interpolated(found, COCO_RECALLS, counts) for found in outcomes.values()], counts)


def recall(covered: Covered, iou_thresh: float, counts: np.ndarray) -> np.ndarray:
    """Share of the objects with an overlap of at least `iou_thresh`."""
    return _weighted(covered.overlaps >= iou_thresh, covered.images, counts)


def mabo(covered: Covered, counts: np.ndarray) -> np.ndarray:
    """Mean over the classes of the average best overlap; a class without objects in a resample is left out."""
    rows = [covered.labels == label for label in np.unique(covered.labels)]
    return _mean([_weighted(covered.overlaps[of], covered.images[of], counts) for of in rows], counts)


def accuracy(right: np.ndarray, counts: np.ndarray) -> np.ndarray:
    """Share of the images that are `right` [I]."""
    return _weighted(right, np.arange(len(right)), counts)


def _weighted(values: np.ndarray, images: np.ndarray, counts: np.ndarray) -> np.ndarray:
    """Mean of values [M], each of which counts as often as its image [M]."""
    length = counts.shape[1]
    total, rows = (counts @ np.bincount(images, weights=w, minlength=length) for w in (values.astype(float), None))
    return np.where(rows > 0, total / np.maximum(rows, 1), np.nan)


def _mean(values: list[np.ndarray], counts: np.ndarray) -> np.ndarray:
    """Mean over the classes that have a value; nan where none has."""
    if not values:
        return np.full(len(counts), np.nan)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", RuntimeWarning)  # "Mean of empty slice"
        return np.nanmean(values, axis=0)


def _interpolated(found: Outcomes, recalls: np.ndarray, counts: np.ndarray) -> np.ndarray:
    """AP of one class, averaged over the IoU thresholds: the best precision at each of `recalls` [R] or a higher one.

    Only detections that found an object are looked at: at all others the precision falls and the recall stays.
    """
    objects = counts @ found.objects
    sums = np.zeros(len(counts))
    for outcomes in found.outcomes:
        hits = np.flatnonzero(outcomes == TRUE)
        true = counts[:, found.images[hits]].cumsum(axis=1)  # [B, K]
        false = counts @ _false_before(found, outcomes, hits)
        precision = true / np.maximum(true + false, 1)
        reached = np.searchsorted(recalls, true / np.maximum(objects, 1)[:, None], side="right")  # how many recalls
        best = np.zeros((len(counts), len(recalls) + 1))
        np.maximum.at(best, (np.arange(len(counts))[:, None], reached), precision)
        sums += np.maximum.accumulate(best[:, :0:-1], axis=1)[:, ::-1].mean(axis=1)
    return np.where(objects > 0, sums / len(found.outcomes), np.nan)


def _false_before(found: Outcomes, outcomes: np.ndarray, hits: np.ndarray) -> np.ndarray:
    """How many false detections of each image rank before each of `hits` [K]; [I, K]."""
    wrong = np.flatnonzero(outcomes == FALSE)
    behind = np.zeros((len(found.objects), len(hits) + 1))
    np.add.at(behind, (found.images[wrong], np.searchsorted(hits, wrong)), 1)
    return behind[:, :-1].cumsum(axis=1)
