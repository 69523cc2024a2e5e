"""Matching of boxes with ground-truth boxes, and the rules for negatives."""

import numpy as np

from src.boxes.overlap import iou
from src.boxes.target import Target

OBJECT, BACKGROUND, IGNORED = 1, 0, -1  # labels of a box; the loss leaves out ignored ones. Classes count from 1


def best_match(boxes: np.ndarray, gt_boxes: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Find the ground-truth box that overlaps each box most.

    Args:
        boxes: [N, 4].
        gt_boxes: [M, 4].

    Returns:
        (IoU [N], index into `gt_boxes` [N]); 0 and -1 if M is 0. Of equal overlaps, the first ground-truth box wins.
    """
    if len(gt_boxes) == 0:
        return np.zeros(len(boxes), np.float32), np.full(len(boxes), -1)
    overlaps = iou(boxes, gt_boxes)
    return overlaps.max(axis=1), overlaps.argmax(axis=1)


def without_difficult(target: Target) -> Target:
    """Drop the difficult objects of a target."""
    keep = ~target["difficult"]
    return {**target, **{name: target[name][keep] for name in ("boxes", "labels", "difficult")}}


def near_difficult(boxes: np.ndarray, target: Target, iou_thresh: float) -> np.ndarray:
    """Find the boxes that overlap a difficult object with an IoU of `iou_thresh` or more, bool [N].

    These boxes must not be negatives. A threshold of 0 still requires some overlap.
    """
    best, _ = best_match(boxes, target["boxes"][target["difficult"]])
    return best >= max(iou_thresh, 1e-6)


def is_background(
    boxes: np.ndarray,
    best_iou: np.ndarray,
    gt_boxes: np.ndarray,
    *,
    iou_thresh: float,
    iou_min: float = 0.0,
    iou_zero: bool = True,
    min_area: float = 0.0,
) -> np.ndarray:
    """Find the boxes that count as background, bool [N].

    The paper's rule is `iou_min <= IoU < iou_thresh`. The tutorial's rule also leaves out boxes with an IoU of 0
    (`iou_zero=False`), so pure background is never learnt, and boxes whose area is not above `min_area` times that of
    the image's largest ground-truth box. Without ground-truth boxes `min_area` has no effect.
    """
    background = (best_iou >= iou_min) & (best_iou < iou_thresh)
    if not iou_zero:
        background &= best_iou > 0
    if min_area > 0 and len(gt_boxes):
        background &= _areas(boxes) > min_area * _areas(gt_boxes).max()
    return background


def _areas(boxes: np.ndarray) -> np.ndarray:
    return np.asarray((boxes[:, 2] - boxes[:, 0]) * (boxes[:, 3] - boxes[:, 1]))
