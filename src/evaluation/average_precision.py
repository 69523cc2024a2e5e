"""Average precision of detections, by the rules of Pascal VOC 2007, of VOC 2010 to 2012, and of COCO.

VOC: Everingham et al. 2010 (IJCV 88, Sec. 4.2) and VOCevaldet.m of its development kit. COCO: Lin et al. 2014
(arXiv:1405.0312) and its evaluation code, pycocotools.
Matching (src/evaluation/outcomes.py) is separate from the curve (`precision_recall`): detections are matched only with
the objects of their own image, so a bootstrap over images matches once (src/evaluation/bootstrap.py).
T is the number of IoU thresholds, and K that of the detections of one class in all images that are not ignored.
"""

from collections.abc import Iterable, Mapping, Sequence
from typing import NamedTuple

import numpy as np

from src.boxes.target import Targets
from src.evaluation.outcomes import COCO_AREAS, IGNORED, TRUE, Detections, Outcomes, coco_outcomes, voc_outcomes

VOC07_RECALLS = np.arange(11) / 10  # linspace(0, 1, 11)[3] is above 3 / 10: it would miss a recall of exactly 0.3
COCO_RECALLS = np.linspace(0, 1, 101)  # as in pycocotools, including its rounding errors


class Curve(NamedTuple):
    """Recall and precision [K] of one class after each detection, by falling score."""

    recall: np.ndarray
    precision: np.ndarray
    objects: int  # the number of objects, without difficult ones; may be 0


def voc_curves(
    detections: Detections, targets: Targets, classes: Sequence[str], iou_thresh: float = 0.5
) -> dict[str, Curve]:
    """Compute the precision-recall curve of each class, with the matching of the VOC development kit.

    Arguments as for `voc_outcomes`.
    """
    outcomes = voc_outcomes(detections, targets, classes, iou_thresh)
    return {name: precision_recall(of_class)[0] for name, of_class in outcomes.items()}


def precision_recall(outcomes: Outcomes) -> list[Curve]:
    """Compute the precision-recall curve at each of the T thresholds."""
    objects = int(outcomes.objects.sum())
    return [_curve(row, objects) for row in outcomes.outcomes]


def coco_ap(outcomes: Mapping[str, Outcomes]) -> dict[str, float]:
    """Compute COCO AP of each class: precision at 101 recalls, averaged over the IoU thresholds.

    Args:
        outcomes: the result of `coco_outcomes`.

    Returns:
        AP by class: 0 if nothing was detected, nan if the class has no object that is not difficult.
    """
    return {
        name: float(np.mean([_interpolated(curve, COCO_RECALLS) for curve in precision_recall(of_class)]))
        for name, of_class in outcomes.items()
    }


def coco_ar(outcomes: Mapping[str, Outcomes], most: int) -> float:
    """Compute COCO's average recall: the mean over classes and IoU thresholds of the share of objects found.

    Args:
        outcomes: the result of `coco_outcomes`.
        most: number of detections that count per image and class, those with the highest scores.

    Returns:
        nan if no class has an object that counts.
    """
    recalls = []
    for of_class in outcomes.values():
        order = np.argsort(of_class.images, kind="stable")  # within an image by falling score
        counts = np.bincount(of_class.images[order])
        first = np.repeat(counts.cumsum() - counts, counts)
        rank = np.empty(len(order), np.int64)
        rank[order] = np.arange(len(order)) - first
        objects = of_class.objects.sum()
        found = (of_class.outcomes[:, rank < most] == TRUE).sum(axis=1)
        recalls.append(float(np.mean(found / objects)) if objects else float("nan"))
    return mean_ap(recalls)


def coco_figures(detections: Detections, targets: Targets, classes: Sequence[str]) -> dict[str, float]:
    """Compute the twelve figures that COCO's evaluation code prints, by size and by number of detections.

    The size of an object is the area of its box, as the data have no masks: small up to 32^2 pixels, large from 96^2.
    Recall counts 1, 10 or 100 detections per image and class. A figure is nan if there is no object of its size.
    Arguments as for `coco_outcomes`.
    """
    every = coco_outcomes(detections, targets, classes)
    sizes = {name: coco_outcomes(detections, targets, classes, areas) for name, areas in COCO_AREAS.items()}
    single = {
        name: {label: outcomes._replace(outcomes=outcomes.outcomes[row : row + 1]) for label, outcomes in every.items()}
        for name, row in (("ap_50", 0), ("ap_75", 5))  # rows of COCO_IOU_THRESHS
    }
    return {
        "ap": mean_ap(coco_ap(every).values()),
        **{name: mean_ap(coco_ap(outcomes).values()) for name, outcomes in single.items()},
        **{f"ap_{name}": mean_ap(coco_ap(outcomes).values()) for name, outcomes in sizes.items()},
        **{f"ar_{most}": coco_ar(every, most) for most in (1, 10, 100)},
        **{f"ar_{name}": coco_ar(outcomes, 100) for name, outcomes in sizes.items()},
    }


def voc07(curve: Curve) -> float:
    """Compute AP of VOC 2007: the mean, over recalls 0, 0.1, ..., 1, of the best precision at that or a higher recall.

    0 if nothing was detected, nan if there are no objects.

    >>> voc07(Curve(np.array([0.5, 0.5]), np.array([1.0, 0.5]), objects=2))  # 1 at 0, 0.1, ... 0.5, then 0
    0.5454545454545454
    """
    return _interpolated(curve, VOC07_RECALLS)


def voc12(curve: Curve) -> float:
    """Compute AP since VOC 2010: the area under the curve, with each precision raised to the best at a higher recall.

    0 if nothing was detected, nan if there are no objects.

    >>> voc12(Curve(np.array([0.5, 0.5]), np.array([1.0, 0.5]), objects=2))
    0.5
    """
    if not curve.objects:
        return float("nan")
    return float((np.diff(curve.recall, prepend=0.0) * _envelope(curve.precision)).sum())


def mean_ap(aps: Iterable[float]) -> float:
    """Compute the mean over the classes that have an AP, so without nan; nan if no class has one."""
    known = [ap for ap in aps if not np.isnan(ap)]
    return float(np.mean(known)) if known else float("nan")


def thinned(curve: Curve, points: int = 100) -> Curve:
    """Reduce a curve to at most `points` points for a plot, evenly chosen from those at which an object was found.

    The first and the last of them are kept. If no object was found, the curve is one point at (0, 0), so that a plot
    still names the class; if there are no objects, it has no point.
    """
    hits = np.flatnonzero(np.diff(curve.recall, prepend=0.0))
    if not len(hits):
        zeros = np.zeros(min(curve.objects, 1))
        return Curve(zeros, zeros, curve.objects)
    keep = hits[np.linspace(0, len(hits) - 1, min(points, len(hits))).round().astype(int)]
    return Curve(curve.recall[keep], curve.precision[keep], curve.objects)


def _curve(outcomes: np.ndarray, objects: int) -> Curve:
    true = np.cumsum(outcomes[outcomes != IGNORED] == TRUE)
    return Curve(true / max(objects, 1), true / np.arange(1, len(true) + 1), objects)


def _interpolated(curve: Curve, recalls: np.ndarray) -> float:
    if not curve.objects:
        return float("nan")
    reached = np.searchsorted(curve.recall, recalls, side="left")  # per recall, the first point that reaches it
    return float(np.append(_envelope(curve.precision), 0.0)[reached].mean())


def _envelope(precision: np.ndarray) -> np.ndarray:
    return np.maximum.accumulate(precision[::-1])[::-1]
