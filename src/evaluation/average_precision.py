"""Average precision of detections, by the rules of Pascal VOC 2007, of VOC 2010 to 2012, and of COCO.

VOC: Everingham et al. 2010 (IJCV 88, Sec. 4.2) and VOCevaldet.m of its development kit. COCO: Lin et al. 2014
(arXiv:1405.0312) and its evaluation code, pycocotools.
N is the number of detections and M the number of objects of one class in one image. A is the number of detections of
one class in all images, and K the number of those that are not ignored. I is the number of images, T that of IoU
thresholds. If scores are equal, the detection in the image with the lower id comes first, and within an image the one
that comes first in its file; the order in which images are given has no influence.
Matching (`voc_outcomes`, `coco_outcomes`) is separate from the curve (`precision_recall`): detections are matched only
with the objects of their own image, so a bootstrap over images matches once (src/evaluation/bootstrap.py).
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import NamedTuple

import numpy as np

from src.boxes.overlap import iou
from src.boxes.target import Targets
from src.errors import InputError

FALSE, TRUE, IGNORED = 0, 1, -1  # outcomes of a detection
VOC07_RECALLS = np.arange(11) / 10  # linspace(0, 1, 11)[3] is above 3 / 10: it would miss a recall of exactly 0.3
COCO_RECALLS = np.linspace(0, 1, 101)  # this and the next as in pycocotools, including its rounding errors
COCO_IOU_THRESHS = np.linspace(0.5, 0.95, 10)
COCO_MAX_PER_IMAGE = 100

Detections = Mapping[str, Mapping[str, np.ndarray]]  # image id -> boxes [*, 4], labels [*] from 1, scores [*]
Match = Callable[[np.ndarray, np.ndarray, np.ndarray], np.ndarray]  # boxes, gt_boxes, difficult -> outcomes [T, N]


class Outcomes(NamedTuple):
    """The outcomes of the detections of one class in all images, by falling score."""

    outcomes: np.ndarray  # [T, A] of TRUE, FALSE and IGNORED
    images: np.ndarray  # [A], the image of each detection: an index into the sorted image ids
    objects: np.ndarray  # [I], the number of objects in each image, without difficult ones


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


def voc_outcomes(
    detections: Detections, targets: Targets, classes: Sequence[str], iou_thresh: float = 0.5
) -> dict[str, Outcomes]:
    """Find the outcome of every detection, class by class, by the rules of VOC; T is 1.

    Args:
        detections: a record for every image of `targets`, possibly an empty one; other images do not count.
        targets: the images to evaluate, at least one; in an image without objects all detections are false positives.
        classes: names; label k is `classes[k - 1]`. A detection with a label beyond them is an `InputError`.
        iou_thresh: the smallest IoU at which a detection finds an object.
    """

    def match(boxes: np.ndarray, gt_boxes: np.ndarray, difficult: np.ndarray) -> np.ndarray:
        return match_voc(boxes, gt_boxes, difficult, iou_thresh)[None]

    return _outcomes(detections, targets, classes, match)


def coco_outcomes(detections: Detections, targets: Targets, classes: Sequence[str]) -> dict[str, Outcomes]:
    """Find the outcome of every detection, class by class, by COCO's rules, at the thresholds 0.50, 0.55, ..., 0.95.

    In each image, only the 100 detections with the highest scores count, over all classes (as COCO's rules say; its
    code allows 100 per class). Difficult objects are treated as COCO's crowds: a COCO evaluator finds the same outcomes
    if it gets these detections, and `iscrowd` for difficult objects. Arguments as for `voc_outcomes`.
    """
    best = {image_id: _highest(detections[image_id]) for image_id in targets}
    return _outcomes(best, targets, classes, match_coco)


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


def check_labels(detections: Detections, num_labels: int, source: str = "the detections") -> None:
    """Raise an `InputError` that names `source` if a label is not among 1, ..., `num_labels`."""
    for image_id, record in detections.items():
        wrong = record["labels"][(record["labels"] < 1) | (record["labels"] > num_labels)]
        if len(wrong):
            raise InputError(
                f"{source}: image {image_id} has a detection with label {wrong[0]}, but the data set has labels 1 to "
                f"{num_labels}: rerun the detection stage on this data set"
            )


def match_voc(boxes: np.ndarray, gt_boxes: np.ndarray, difficult: np.ndarray, iou_thresh: float) -> np.ndarray:
    """Find the outcomes of the detections of one class in one image, as VOCevaldet.m does.

    Each detection belongs to the object that it overlaps most, difficult or not (the first one, if overlaps are equal).
    It is false if the overlap is too small, or if a detection with a higher score took the object; on a difficult
    object it is ignored. Difference: no `+ 1` in widths and heights; the reader made boxes half-open, so sides agree.

    Args:
        boxes: [N, 4], in order of falling score.
        gt_boxes: [M, 4].
        difficult: [M].
        iou_thresh: the smallest IoU at which a detection finds an object.

    Returns:
        [N] of `TRUE`, `FALSE` and `IGNORED`; all `FALSE` if M is 0.
    """
    outcomes = np.full(len(boxes), FALSE)
    if not len(gt_boxes):
        return outcomes
    overlaps = _iou(boxes, gt_boxes)
    taken = np.zeros(len(gt_boxes), bool)
    for n, best in enumerate(overlaps.argmax(axis=1)):
        if overlaps[n, best] < iou_thresh:
            continue
        if difficult[best]:
            outcomes[n] = IGNORED
        elif not taken[best]:
            outcomes[n] = TRUE
            taken[best] = True
    return outcomes


def match_coco(boxes: np.ndarray, gt_boxes: np.ndarray, difficult: np.ndarray) -> np.ndarray:
    """Find the outcomes of the detections of one class in one image at each threshold, as pycocotools does.

    Of the objects that are still free, each detection takes the one that it overlaps most (the last one, if overlaps
    are equal). If no free object overlaps it enough, it is ignored if at least the threshold's share of *its own* area
    lies in a difficult object, and false otherwise.
    Arguments as for `match_voc`; returns [T, N].
    """
    threshs = COCO_IOU_THRESHS[:, None]
    if not len(gt_boxes):  # the usual case: most classes are absent from most images
        return np.full((len(threshs), len(boxes)), FALSE)
    outcomes = np.where(_coverage(boxes, gt_boxes[difficult]) >= threshs, IGNORED, FALSE)  # [T, N]
    overlaps = _iou(boxes, gt_boxes[~difficult])
    free = np.ones((len(threshs), overlaps.shape[1]), bool)
    if not free.size:
        return outcomes
    for n, overlap in enumerate(overlaps):
        usable = np.where(free & (overlap >= threshs), overlap, 0.0)
        best = usable.shape[1] - 1 - usable[:, ::-1].argmax(axis=1)
        hit = np.flatnonzero(usable.max(axis=1))
        outcomes[hit, n] = TRUE
        free[hit, best[hit]] = False
    return outcomes


def _outcomes(detections: Detections, targets: Targets, classes: Sequence[str], match: Match) -> dict[str, Outcomes]:
    check_labels({image_id: detections[image_id] for image_id in targets}, len(classes))
    return {name: _of_class(detections, targets, label, match) for label, name in enumerate(classes, start=1)}


def _of_class(detections: Detections, targets: Targets, label: int, match: Match) -> Outcomes:
    scores, outcomes, objects = [], [], []
    for image_id in sorted(targets):
        record, target = detections[image_id], targets[image_id]
        chosen, true = np.flatnonzero(record["labels"] == label), target["labels"] == label
        chosen = chosen[np.argsort(-record["scores"][chosen], kind="stable")]
        difficult = target["difficult"][true]
        scores.append(record["scores"][chosen])
        outcomes.append(match(record["boxes"][chosen], target["boxes"][true], difficult))
        objects.append(int((~difficult).sum()))
    order = np.argsort(-np.concatenate(scores), kind="stable")
    images = np.repeat(np.arange(len(scores)), [len(of_image) for of_image in scores])
    return Outcomes(np.concatenate(outcomes, axis=1)[:, order], images[order], np.array(objects))


def _curve(outcomes: np.ndarray, objects: int) -> Curve:
    true = np.cumsum(outcomes[outcomes != IGNORED] == TRUE)
    return Curve(true / max(objects, 1), true / np.arange(1, len(true) + 1), objects)


def _highest(record: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
    keep = np.argsort(-record["scores"], kind="stable")[:COCO_MAX_PER_IMAGE]
    return {name: array[keep] for name, array in record.items()}


def _interpolated(curve: Curve, recalls: np.ndarray) -> float:
    if not curve.objects:
        return float("nan")
    reached = np.searchsorted(curve.recall, recalls, side="left")  # per recall, the first point that reaches it
    return float(np.append(_envelope(curve.precision), 0.0)[reached].mean())


def _envelope(precision: np.ndarray) -> np.ndarray:
    return np.maximum.accumulate(precision[::-1])[::-1]


def _iou(boxes: np.ndarray, gt_boxes: np.ndarray) -> np.ndarray:
    # Double precision, so that an IoU of exactly 0.6 is not below the threshold 0.6.
    return iou(boxes.astype(np.float64), gt_boxes.astype(np.float64))


def _coverage(boxes: np.ndarray, gt_boxes: np.ndarray) -> np.ndarray:
    """Compute the largest share of each box [N] that lies in one of `gt_boxes`; 0 without any, or for an empty box."""
    boxes, gt_boxes = boxes.astype(np.float64), gt_boxes.astype(np.float64)
    top_left = np.maximum(boxes[:, None, :2], gt_boxes[None, :, :2])  # [N, M, 2]
    bottom_right = np.minimum(boxes[:, None, 2:], gt_boxes[None, :, 2:])
    shared: np.ndarray = (bottom_right - top_left).clip(min=0).prod(axis=2).max(axis=1, initial=0)
    return shared / (boxes[:, 2:] - boxes[:, :2]).prod(axis=1).clip(min=np.finfo(np.float64).tiny)
