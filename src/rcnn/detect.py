"""From scores of proposals to detections (R-CNN Sec. 2.2 and App. C)."""

from collections.abc import Mapping

import numpy as np
import torch
from torchvision.ops import nms

from src.boxes.geometry import clip, decode
from src.files.records import Record
from src.params import Count, Fraction, Section
from src.rcnn.features import rows
from src.rcnn.planes import Plane, scores


class DetectRcnn(Section):
    """From scores to detections."""

    score_thresh: float
    nms_thresh: Fraction
    max_per_image: Count


def corrections(features: np.ndarray, regression: Mapping[str, np.ndarray]) -> np.ndarray:
    """What the box regression of each class makes of regions: deltas [N, C, 4].

    Args:
        features: [N, D], half precision as they are stored.
        regression: `weights` [C, D, 4], `biases` [C, 4] and `scale` [D], the factors of the features.
    """
    # [N, D] x [C, D, 4] -> [N, C, 4] as one matrix product, which einsum does not make of it (100 times as long)
    deltas = np.tensordot(features.astype(np.float32) * regression["scale"], regression["weights"], ([1], [1]))
    return deltas + regression["biases"]


def select(boxes: np.ndarray, scores: np.ndarray, settings: DetectRcnn) -> np.ndarray:
    """Indices of the boxes of one class that stay: above `score_thresh`, after NMS, the best `max_per_image`.

    Args:
        boxes: [N, 4].
        scores: [N].

    Returns:
        indices in order of falling score; may be empty.
    """
    above = np.flatnonzero(scores > settings.score_thresh)
    kept = nms(torch.from_numpy(boxes[above]), torch.from_numpy(scores[above]), settings.nms_thresh).numpy()
    return above[kept[: settings.max_per_image]]


def detect(
    boxes: np.ndarray,
    scores: np.ndarray,
    settings: DetectRcnn,
    *,
    size: tuple[int, int],
    deltas: np.ndarray | None = None,
) -> Record:
    """Detections of one image, of all classes.

    With `deltas`, what stays after NMS is moved onto its object, clipped to the image, and goes through NMS again, for
    two regions may have been moved onto the same object (as rcnn's evaluation does).

    Args:
        boxes: [N, 4], proposals.
        scores: [N, C], a column a class.
        size: (height, width) of the image.
        deltas: [N, C, 4], or None for the proposals as they are.

    Returns:
        {boxes [K, 4], labels [K] from 1, scores [K]}, by class and falling score.
    """
    found_boxes, found_labels, found_scores = [np.zeros((0, 4), np.float32)], [np.zeros(0, int)], [np.zeros(0)]
    for column in range(scores.shape[1]):
        kept = select(boxes, scores[:, column], settings)
        moved, kept_scores = boxes[kept], scores[kept, column]
        if deltas is not None and len(kept):
            corrected = decode(torch.from_numpy(moved), torch.from_numpy(deltas[kept, column]))
            moved = clip(corrected, size).numpy()
            again = select(moved, kept_scores, settings)
            moved, kept_scores = moved[again], kept_scores[again]
        found_boxes.append(moved)
        found_labels.append(np.full(len(moved), column + 1))
        found_scores.append(kept_scores)
    return {
        "boxes": np.concatenate(found_boxes),
        "labels": np.concatenate(found_labels),
        "scores": np.concatenate(found_scores).astype(np.float32),
    }


def detect_all(
    described: np.ndarray,
    regions: Mapping[str, Record],
    sizes: Mapping[str, tuple[int, int]],
    svm: Mapping[str, np.ndarray],
    regression: Mapping[str, np.ndarray],
    settings: DetectRcnn,
    seed: int,
) -> dict[str, dict[str, Record]]:
    """Detect on images, in three variants.

    Args:
        described: features [R, D], half precision, maybe a memory map.
        regions: by image, in the order of the features' rows.
        sizes: (height, width) of the images to detect on.
        svm: `weights` [C, D], `biases` [C] and `scale` [D].
        regression: as for `corrections`.
        settings: the section `detect_rcnn`.
        seed: of the random scores.

    Returns:
        `detections`, `no_bbox` (without box regression) and `random` (random scores of the same proposals), each with a
        record per image.
    """
    planes = [Plane(weight, bias) for weight, bias in zip(svm["weights"], svm["biases"], strict=True)]
    at, rng = rows(regions), np.random.default_rng(seed)
    found: dict[str, dict[str, Record]] = {"detections": {}, "no_bbox": {}, "random": {}}
    for image_id, size in sizes.items():
        record = regions[image_id]
        proposals = ~record["is_gt"] & ~record["flipped"]
        boxes, x = record["boxes"][proposals], described[at[image_id]][proposals]
        image_scores = scores(x, planes, svm["scale"])
        chance = rng.normal(size=image_scores.shape).astype(np.float32)
        deltas = corrections(x, regression)
        found["detections"][image_id] = detect(boxes, image_scores, settings, size=size, deltas=deltas)
        found["no_bbox"][image_id] = detect(boxes, image_scores, settings, size=size)
        found["random"][image_id] = detect(boxes, chance, settings, size=size)
    return found
