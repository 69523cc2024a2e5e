"""VOC AP of 2007 as most evaluators in Python compute it: class by class, detection by detection.

It is written from the rules of the VOC development kit (Everingham et al. 2010, IJCV 88, Sec. 4.2), in the usual form:
all detections of a class in falling order of score, each measured against the objects of its own image.
"""

import numpy as np

from src.boxes.target import Targets
from src.evaluation.outcomes import Detections

LEVELS = np.arange(11) / 10  # np.arange(0, 1.1, 0.1), as many write it, has 0.30000000000000004, which 3 of 10 misses


def usual_voc_ap(detections: Detections, targets: Targets, num_classes: int) -> list[float]:
    """Return the AP of each class, from 0 to 1; NaN if a class has no object that counts."""
    return [_class_ap(detections, targets, label) for label in range(1, num_classes + 1)]


def _class_ap(detections: Detections, targets: Targets, label: int) -> float:
    objects, total = {}, 0
    for image_id, target in targets.items():
        true = target["labels"] == label
        difficult = target["difficult"][true]
        objects[image_id] = {
            "boxes": target["boxes"][true].astype(float),
            "difficult": difficult,
            "found": [False] * len(difficult),
        }
        total += int((~difficult).sum())
    ids, scores, boxes = [], [], []
    for image_id in sorted(targets):
        record = detections[image_id]
        for row in np.flatnonzero(record["labels"] == label):
            ids.append(image_id)
            scores.append(float(record["scores"][row]))
            boxes.append(record["boxes"][row].astype(float))
    order = np.argsort(-np.array(scores), kind="stable")
    true_positives, false_positives = np.zeros(len(ids)), np.zeros(len(ids))
    for place, row in enumerate(order):
        image_objects = objects[ids[row]]
        best, overlap = _nearest(boxes[row], image_objects["boxes"])
        if overlap < 0.5:
            false_positives[place] = 1
        elif not image_objects["difficult"][best]:
            (false_positives if image_objects["found"][best] else true_positives)[place] = 1
            image_objects["found"][best] = True
    if not total:
        return float("nan")
    hits, misses = np.cumsum(true_positives), np.cumsum(false_positives)
    recall, precision = hits / total, hits / np.maximum(hits + misses, 1e-12)
    steps = [precision[recall >= level] for level in LEVELS]
    return float(np.mean([step.max() if len(step) else 0.0 for step in steps]))


def _nearest(box: np.ndarray, objects: np.ndarray) -> tuple[int, float]:
    """Return the object with the largest IoU with a box [4], and that IoU; -1 if there is no object."""
    if not len(objects):
        return 0, -1.0
    width = np.minimum(box[2], objects[:, 2]) - np.maximum(box[0], objects[:, 0])
    height = np.minimum(box[3], objects[:, 3]) - np.maximum(box[1], objects[:, 1])
    both = np.maximum(width, 0) * np.maximum(height, 0)
    areas = (objects[:, 2] - objects[:, 0]) * (objects[:, 3] - objects[:, 1])
    overlaps = both / ((box[2] - box[0]) * (box[3] - box[1]) + areas - both)
    best = int(overlaps.argmax())
    return best, float(overlaps[best])
