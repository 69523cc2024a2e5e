"""The average precision of detections in every resample of the test images (src/evaluation/bootstrap.py).

The evaluation stage takes standard errors from this module, and `python -m commands.compare` takes the interval of a
difference: they share this code, so both describe the same number. A resample needs no new matching or sorting: an
image that it has twice counts twice, so a precision is a ratio of weighted sums. The result equals the AP of a data set
that holds the image twice, unless two detections of one image have the same score.
B is the number of resamples, I that of test images, A that of the detections of a class, K that of those that found an
object, R that of recalls; `counts` is [B, I].
"""

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np

from src.boxes.target import Targets
from src.evaluation.average_precision import COCO_RECALLS, VOC07_RECALLS
from src.evaluation.bootstrap import mean_over_classes
from src.evaluation.outcomes import IGNORED, TRUE, Outcomes, check_labels, coco_outcomes, voc_outcomes
from src.files.records import read_records

MAIN = "detections"
VOC07, COCO = "map_voc07", "map_coco"
AT_ONCE = 2**19  # numbers of one array: small enough for a processor's cache, and memory does not grow with B
ByClass = dict[str, Outcomes]


def match(files: Mapping[str, Path], targets: Targets, classes: Sequence[str]) -> dict[str, ByClass]:
    """Match a detector's detections with the objects, once per metric.

    Args:
        files: `detections`, and variants of the same detector that its score is compared with, by name.
        targets: the test images, at least one.
        classes: without background.

    Returns:
        `map_voc07` and `map_coco` of `detections`, and `map_voc07_NAME` of every variant. An image without a record, or
        a label beyond the classes, is an `InputError` that names the file.
    """
    matched = {}
    for name in sorted(files, key=lambda name: (name != MAIN, name)):
        records = read_records(files[name], list(targets))
        check_labels(records, len(classes), str(files[name]))
        matched[VOC07 if name == MAIN else f"{VOC07}_{name}"] = voc_outcomes(records, targets, classes)
        if name == MAIN:
            matched[COCO] = coco_outcomes(records, targets, classes)
    return matched


def of_detections(matched: Mapping[str, ByClass], counts: np.ndarray) -> dict[str, np.ndarray]:
    """Compute each metric [B] of `match`."""
    rules = {name: coco_map if name == COCO else voc07_map for name in matched}
    return {name: rules[name](outcomes, counts) for name, outcomes in matched.items()}


def voc07_map(outcomes: Mapping[str, Outcomes], counts: np.ndarray) -> np.ndarray:
    """Compute the mean VOC 2007 AP [B] over the classes that have objects in a resample, from `voc_outcomes`."""
    return mean_over_classes([_interpolated(of_class, VOC07_RECALLS, counts) for of_class in outcomes.values()], counts)


def coco_map(outcomes: Mapping[str, Outcomes], counts: np.ndarray) -> np.ndarray:
    """Compute the mean COCO AP [B] over the classes that have objects in a resample, from `coco_outcomes`."""
    return mean_over_classes([_interpolated(of_class, COCO_RECALLS, counts) for of_class in outcomes.values()], counts)


def _interpolated(of_class: Outcomes, recalls: np.ndarray, counts: np.ndarray) -> np.ndarray:
    """Average AP [B] of one class over the IoU thresholds: the best precision at each of `recalls` or a higher one."""
    many = max(1, AT_ONCE // max(1, len(of_class.images)))
    blocks = np.split(counts.astype(np.int64), range(many, len(counts), many))  # integers sum up faster than floats
    return np.concatenate([_of_block(of_class, recalls, block) for block in blocks])


def _of_block(of_class: Outcomes, recalls: np.ndarray, counts: np.ndarray) -> np.ndarray:
    """Compute `_interpolated` of a few resamples.

    Only detections that found an object matter: at all others the precision falls and the recall stays. The number of
    detections up to each of them is the same at all thresholds, except for ignored detections, which are few.
    """
    objects = counts @ of_class.objects
    weights = counts.take(of_class.images, axis=1)  # [B, A], how often each resample has each detection
    ranks = weights.cumsum(axis=1)
    sums = np.zeros(len(counts))
    for outcomes in of_class.outcomes:
        hits, ignored = np.flatnonzero(outcomes == TRUE), np.flatnonzero(outcomes == IGNORED)
        true = weights.take(hits, axis=1).cumsum(axis=1)  # [B, K]
        skipped = np.pad(weights.take(ignored, axis=1).cumsum(axis=1), ((0, 0), (1, 0)))
        detected = ranks.take(hits, axis=1) - skipped.take(np.searchsorted(ignored, hits), axis=1)
        sums += _mean_best(true / np.maximum(objects, 1)[:, None], true / np.maximum(detected, 1), recalls)
    return np.where(objects > 0, sums / len(of_class.outcomes), np.nan)


def _mean_best(recall: np.ndarray, precision: np.ndarray, recalls: np.ndarray) -> np.ndarray:
    """Average over `recalls` the best precision [B, K] at that or a higher recall [B, K], which rises; 0 beyond it."""
    best = np.zeros((precision.shape[0], precision.shape[1] + 1))
    best[:, -2::-1] = np.maximum.accumulate(precision[:, ::-1], axis=1)
    reached = np.stack([row.searchsorted(recalls) for row in recall])  # [B, R], the first point that reaches it
    return np.take_along_axis(best, reached, axis=1).mean(axis=1)
