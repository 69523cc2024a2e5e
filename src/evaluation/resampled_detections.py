"""The average precision of detections in every resample of the test images (src/evaluation/bootstrap.py).

The evaluation stage takes standard errors from this module, and `python -m commands.compare` takes the interval of a
difference: they share this code, so both describe the same number. A resample needs no new matching or sorting: an
image that it has twice counts twice, so a precision is a ratio of weighted sums. The result equals the AP of a data set
that holds the image twice, unless two detections of one image have the same score.
B is the number of resamples, I that of test images, K that of the detections of a class that found an object, R that of
recalls; `counts` is [B, I].
"""

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np

from src.boxes.target import Targets
from src.evaluation.average_precision import COCO_RECALLS, VOC07_RECALLS
from src.evaluation.bootstrap import mean_over_classes
from src.evaluation.outcomes import FALSE, TRUE, Outcomes, check_labels, coco_outcomes, voc_outcomes
from src.files.records import read_records

MAIN = "detections"
VOC07, COCO = "map_voc07", "map_coco"
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
    """Average AP of one class over the IoU thresholds: the best precision at each of `recalls` [R] or a higher one.

    Only detections that found an object matter: at all others the precision falls and the recall stays.
    """
    objects = counts @ of_class.objects
    sums = np.zeros(len(counts))
    for outcomes in of_class.outcomes:
        hits = np.flatnonzero(outcomes == TRUE)
        true = counts[:, of_class.images[hits]].cumsum(axis=1)  # [B, K]
        false = counts @ _false_before(of_class, outcomes, hits)
        precision = true / np.maximum(true + false, 1)
        reached = np.searchsorted(recalls, true / np.maximum(objects, 1)[:, None], side="right")  # number of recalls
        best = np.zeros((len(counts), len(recalls) + 1))
        np.maximum.at(best, (np.arange(len(counts))[:, None], reached), precision)
        sums += np.maximum.accumulate(best[:, :0:-1], axis=1)[:, ::-1].mean(axis=1)
    return np.where(objects > 0, sums / len(of_class.outcomes), np.nan)


def _false_before(of_class: Outcomes, outcomes: np.ndarray, hits: np.ndarray) -> np.ndarray:
    """Count the false detections of each image that rank before each of `hits` [K]; [I, K]."""
    wrong = np.flatnonzero(outcomes == FALSE)
    between = np.zeros((len(of_class.objects), len(hits) + 1))  # column k: after hit k - 1 and before hit k
    np.add.at(between, (of_class.images[wrong], np.searchsorted(hits, wrong)), 1)
    return between[:, :-1].cumsum(axis=1)
