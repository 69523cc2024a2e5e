"""Average precision of detections, by the rules of Pascal VOC 2007, of VOC 2010 to 2012, and of COCO.

VOC: Everingham et al. 2010 (IJCV 88, Sec. 4.2) and VOCevaldet.m of its development kit. COCO: Lin et al. 2014
(arXiv:1405.0312) and its evaluation code, pycocotools.
N counts the detections and M the objects of one class in one image, A the detections of a class in all images and K
those of them that are not ignored, I images, T IoU thresholds. Of equal scores the one in the image with the lower id
comes first, then the one that its file holds first; the order in which images are given has no influence.
Matching (`voc_outcomes`, `coco_outcomes`) is apart from the curve (`precision_recall`): an image's detections are
matched with its own objects alone, so a bootstrap over images matches once (src/evaluation/bootstrap.py).
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import NamedTuple

import numpy as np

from src.boxes.overlap import iou
from src.boxes.target import Targets
from src.errors import InputError

FALSE, TRUE, IGNORED = 0, 1, -1  # outcomes of a detection
VOC07_RECALLS = np.arange(11) / 10  # linspace(0, 1, 11)[3] is above 3 / 10, and misses a recall of exactly that
COCO_RECALLS = np.linspace(0, 1, 101)  # these and the next as pycocotools makes them, roundings included
COCO_IOU_THRESHS = np.linspace(0.5, 0.95, 10)
COCO_MAX_PER_IMAGE = 100

Detections = Mapping[str, Mapping[str, np.ndarray]]  # image id -> boxes [*, 4], labels [*] from 1, scores [*]
Match = Callable[[np.ndarray, np.ndarray, np.ndarray], np.ndarray]  # boxes, gt_boxes, difficult -> outcomes [T, N]


class Outcomes(NamedTuple):
    """The outcomes of the detections of one class in all images, in order of falling score."""

    outcomes: np.ndarray  # [T, A] of TRUE, FALSE and IGNORED
    images: np.ndarray  # [A], the image of each: an index into the sorted image ids
    objects: np.ndarray  # [I], that are to be found in each image, so without difficult ones


class Curve(NamedTuple):
    """Recall and precision [K] of one class after each detection, in order of falling score."""

    recall: np.ndarray
    precision: np.ndarray
    objects: int  # that are to be found, so without difficult ones; may be 0


def voc_curves(
    detections: Detections, targets: Targets, classes: Sequence[str], iou_thresh: float = 0.5
) -> dict[str, Curve]:
    """The precision-recall curve of each class, as the VOC development kit matches detections with objects.

    Arguments as for `voc_outcomes`.
    """
    found = voc_outcomes(detections, targets, classes, iou_thresh)
    return {name: precision_recall(outcomes)[0] for name, outcomes in found.items()}


def voc_outcomes(
    detections: Detections, targets: Targets, classes: Sequence[str], iou_thresh: float = 0.5
) -> dict[str, Outcomes]:
    """Find the outcome of every detection, class by class, by the rules of VOC; T is 1.

    Args:
        detections: a record for every image of `targets`, which may be empty; those of other images do not count.
        targets: the images that are evaluated, at least one; without objects they count their false positives.
        classes: names; label k is `classes[k - 1]`, and a detection with a label beyond them is an `InputError`.
        iou_thresh: overlap from which on an object counts as found.
    """

    def match(boxes: np.ndarray, gt_boxes: np.ndarray, difficult: np.ndarray) -> np.ndarray:
        return match_voc(boxes, gt_boxes, difficult, iou_thresh)[None]

    return _outcomes(detections, targets, classes, match)


def coco_outcomes(detections: Detections, targets: Targets, classes: Sequence[str]) -> dict[str, Outcomes]:
    """Find the outcome of every detection, class by class, by COCO's rules, at the thresholds 0.50, 0.55, ..., 0.95.

    Only the 100 detections of an image with the highest scores count, over all classes (as COCO's rules say; its code
    allows 100 of each class). Difficult objects are what COCO calls crowds, so a COCO evaluator that is given these
    detections, and `iscrowd` for difficult objects, finds the same. Arguments as for `voc_outcomes`.
    """
    best = {image_id: _highest(detections[image_id]) for image_id in targets}
    return _outcomes(best, targets, classes, match_coco)


def precision_recall(found: Outcomes) -> list[Curve]:
    """The precision-recall curve at each of the T thresholds."""
    objects = int(found.objects.sum())
    return [_curve(outcomes, objects) for outcomes in found.outcomes]


def coco_ap(outcomes: Mapping[str, Outcomes]) -> dict[str, float]:
    """COCO AP of each class: precision at 101 recalls, averaged over the IoU thresholds.

    Args:
        outcomes: of `coco_outcomes`.

    Returns:
        0 for a class of which nothing was detected, nan for one without any object that is not difficult.
    """
    return {
        name: float(np.mean([_interpolated(curve, COCO_RECALLS) for curve in precision_recall(found)]))
        for name, found in outcomes.items()
    }


def voc07(curve: Curve) -> float:
    """AP of VOC 2007: the mean over the recalls 0, 0.1, ..., 1 of the best precision at that recall or a higher one.

    0 where nothing was detected, nan where there was nothing to find.

    >>> voc07(Curve(np.array([0.5, 0.5]), np.array([1.0, 0.5]), objects=2))  # 1 at 0, 0.1, ... 0.5, then 0
    0.5454545454545454
    """
    return _interpolated(curve, VOC07_RECALLS)


def voc12(curve: Curve) -> float:
    """AP since VOC 2010: the area under the curve, each precision raised to the best at a higher recall.

    0 where nothing was detected, nan where there was nothing to find.

    >>> voc12(Curve(np.array([0.5, 0.5]), np.array([1.0, 0.5]), objects=2))
    0.5
    """
    if not curve.objects:
        return float("nan")
    return float((np.diff(curve.recall, prepend=0.0) * _envelope(curve.precision)).sum())


def mean_ap(aps: Iterable[float]) -> float:
    """Mean over the classes that have an AP; a class without objects (nan) is left out, and nan if all are."""
    known = [ap for ap in aps if not np.isnan(ap)]
    return float(np.mean(known)) if known else float("nan")


def thinned(curve: Curve, points: int = 100) -> Curve:
    """At most `points` points of a curve, for a plot: those at which an object was found, evenly chosen.

    The first and the last of them are kept. Where no object was found it is one point at (0, 0), so that a plot still
    names the class, and none where there was nothing to find.
    """
    found = np.flatnonzero(np.diff(curve.recall, prepend=0.0))
    if not len(found):
        nothing = np.zeros(min(curve.objects, 1))
        return Curve(nothing, nothing, curve.objects)
    keep = found[np.linspace(0, len(found) - 1, min(points, len(found))).round().astype(int)]
    return Curve(curve.recall[keep], curve.precision[keep], curve.objects)


def check_labels(detections: Detections, num_labels: int, source: str = "the detections") -> None:
    """`InputError` that names `source` if a label is not among 1, ..., `num_labels`."""
    for image_id, record in detections.items():
        wrong = record["labels"][(record["labels"] < 1) | (record["labels"] > num_labels)]
        if len(wrong):
            raise InputError(
                f"{source}: image {image_id} has a detection with label {wrong[0]}, but the data have labels 1 to "
                f"{num_labels}: rerun the stage that detects, on these data"
            )


def match_voc(boxes: np.ndarray, gt_boxes: np.ndarray, difficult: np.ndarray, iou_thresh: float) -> np.ndarray:
    """Find the outcomes of the detections of one class in one image, as VOCevaldet.m does.

    Each detection goes to the object that it overlaps most, difficult ones among them (the first of equals). With too
    little overlap, or if the object was taken by a higher score, it is false; on a difficult object it is ignored.
    Differs: no `+ 1` in widths and heights; the reader has made boxes half-open, so the sides come out the same.

    Args:
        boxes: [N, 4], in order of falling score.
        gt_boxes: [M, 4].
        difficult: [M].
        iou_thresh: smallest overlap.

    Returns:
        [N] of `TRUE`, `FALSE` and `IGNORED`; all `FALSE` where M is 0.
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

    Each detection takes, of the objects that are still free, the one it overlaps most (the last of equals). If none is
    left it is ignored where the threshold's share of *its own* area lies in a difficult object, and false elsewhere.
    Arguments as for `match_voc`; returns [T, N].
    """
    threshs = COCO_IOU_THRESHS[:, None]
    if not len(gt_boxes):  # most classes of most images
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
    images = np.repeat(np.arange(len(scores)), [len(found) for found in scores])
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
    reached = np.searchsorted(curve.recall, recalls, side="left")  # the first point with at least that recall
    return float(np.append(_envelope(curve.precision), 0.0)[reached].mean())


def _envelope(precision: np.ndarray) -> np.ndarray:
    return np.maximum.accumulate(precision[::-1])[::-1]


def _iou(boxes: np.ndarray, gt_boxes: np.ndarray) -> np.ndarray:
    # In double precision, so that an IoU of exactly 0.6 is not below the threshold 0.6.
    return iou(boxes.astype(np.float64), gt_boxes.astype(np.float64))


def _coverage(boxes: np.ndarray, gt_boxes: np.ndarray) -> np.ndarray:
    """The largest share of each box [N] that lies in one of `gt_boxes`; 0 where there are none, or the box is empty."""
    boxes, gt_boxes = boxes.astype(np.float64), gt_boxes.astype(np.float64)
    top_left = np.maximum(boxes[:, None, :2], gt_boxes[None, :, :2])  # [N, M, 2]
    bottom_right = np.minimum(boxes[:, None, 2:], gt_boxes[None, :, 2:])
    shared: np.ndarray = (bottom_right - top_left).clip(min=0).prod(axis=2).max(axis=1, initial=0)
    return shared / (boxes[:, 2:] - boxes[:, :2]).prod(axis=1).clip(min=np.finfo(np.float64).tiny)
