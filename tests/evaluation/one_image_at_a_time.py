"""The outcomes of detections by a plain loop over classes, images and detections, as the two rules are written.

The oracle of src/evaluation/outcomes.py, which matches all images of a class together.
"""

import numpy as np

from src.boxes.overlap import iou
from src.evaluation.outcomes import COCO_IOU_THRESHS, COCO_MAX_PER_IMAGE, FALSE, IGNORED, TRUE


def voc_outcomes(detections, targets, classes, iou_thresh=0.5):
    """(outcomes [1, A], images [A], objects [I]) by class."""

    def match(boxes, gt_boxes, difficult):
        return match_voc(boxes, gt_boxes, difficult, iou_thresh)[None]

    return {name: of_class(detections, targets, label, match) for label, name in enumerate(classes, start=1)}


def coco_outcomes(detections, targets, classes):
    """(outcomes [T, A], images [A], objects [I]) by class."""
    best = {image_id: highest(detections[image_id]) for image_id in targets}
    return {name: of_class(best, targets, label, match_coco) for label, name in enumerate(classes, start=1)}


def of_class(detections, targets, label, match):
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
    return np.concatenate(outcomes, axis=1)[:, order], images[order], np.array(objects)


def highest(record):
    keep = np.argsort(-record["scores"], kind="stable")[:COCO_MAX_PER_IMAGE]
    return {name: array[keep] for name, array in record.items()}


def match_voc(boxes, gt_boxes, difficult, iou_thresh):
    outcomes = np.full(len(boxes), FALSE)
    if not len(gt_boxes):
        return outcomes
    overlaps = iou(boxes.astype(np.float64), gt_boxes.astype(np.float64))
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


def match_coco(boxes, gt_boxes, difficult):
    threshs = COCO_IOU_THRESHS[:, None]
    if not len(gt_boxes):
        return np.full((len(threshs), len(boxes)), FALSE)
    outcomes = np.where(coverage(boxes, gt_boxes[difficult]) >= threshs, IGNORED, FALSE)  # [T, N]
    overlaps = iou(boxes.astype(np.float64), gt_boxes[~difficult].astype(np.float64))
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


def coverage(boxes, gt_boxes):
    boxes, gt_boxes = boxes.astype(np.float64), gt_boxes.astype(np.float64)
    top_left = np.maximum(boxes[:, None, :2], gt_boxes[None, :, :2])  # [N, M, 2]
    bottom_right = np.minimum(boxes[:, None, 2:], gt_boxes[None, :, 2:])
    shared = (bottom_right - top_left).clip(min=0).prod(axis=2).max(axis=1, initial=0)
    return shared / (boxes[:, 2:] - boxes[:, :2]).prod(axis=1).clip(min=np.finfo(np.float64).tiny)
