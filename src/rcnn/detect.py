"""Detections of R-CNN, made from the scores of proposals (R-CNN Sec. 2.2 and App. C)."""

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
    """The section `detect_rcnn`: from scores to detections."""

    score_thresh: float
    nms_thresh: Fraction
    max_per_image: Count


def corrections(features: np.ndarray, regression: Mapping[str, np.ndarray]) -> np.ndarray:
    """Predict the deltas [N, C, 4] of regions with the box regression of each class.

    Args:
        features: [N, D], half precision, as they are stored.
        regression: `weights` [C, D, 4], `biases` [C, 4] and `scale` [D], the factors of the features.
    """
    # [N, D] x [C, D, 4] -> [N, C, 4] is one matrix product here; einsum does not use one and takes 100 times as long.
    deltas = np.tensordot(features.astype(np.float32) * regression["scale"], regression["weights"], ([1], [1]))
    return deltas + regression["biases"]


def select(boxes: np.ndarray, scores: np.ndarray, settings: DetectRcnn) -> np.ndarray:
    """Select the boxes of one class: scores above `score_thresh`, NMS, then the best `max_per_image`.

    Args:
        boxes: [N, 4].
        scores: [N].

    Returns:
        indices by descending score; may be empty.
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
    """Detect the objects of all classes in one image.

    With `deltas`, each box that NMS keeps is moved onto its object and clipped to the image. A second NMS follows, as
    in rcnn's evaluation, because two regions may have moved onto the same object.

    Args:
        boxes: [N, 4], proposals.
        scores: [N, C], one column per class.
        settings: the section `detect_rcnn`.
        size: (height, width) of the image.
        deltas: [N, C, 4], or None to keep the proposals as they are.

    Returns:
        {boxes [K, 4], labels [K] from 1, scores [K]} by class, then by descending score; K may be 0.
    """
    all_boxes, all_labels, all_scores = [np.zeros((0, 4), np.float32)], [np.zeros(0, int)], [np.zeros(0)]
    for column in range(scores.shape[1]):
        kept = select(boxes, scores[:, column], settings)
        moved, kept_scores = boxes[kept], scores[kept, column]
        if deltas is not None and len(kept):
            corrected = decode(torch.from_numpy(moved), torch.from_numpy(deltas[kept, column]))
            moved = clip(corrected, size).numpy()
            remaining = select(moved, kept_scores, settings)
            moved, kept_scores = moved[remaining], kept_scores[remaining]
        all_boxes.append(moved)
        all_labels.append(np.full(len(moved), column + 1))
        all_scores.append(kept_scores)
    return {
        "boxes": np.concatenate(all_boxes),
        "labels": np.concatenate(all_labels),
        "scores": np.concatenate(all_scores).astype(np.float32),
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
    """Detect the objects in images, in three variants.

    Args:
        described: features [R, D], half precision, possibly a memory map.
        regions: records by image, in the order of the features' rows.
        sizes: (height, width) of each image to process.
        svm: `weights` [C, D], `biases` [C] and `scale` [D].
        regression: as for `corrections`.
        settings: the section `detect_rcnn`.
        seed: seed of the random scores.

    Returns:
        `detections`, `no_bbox` (without box regression) and `random` (random scores for the same proposals), each with
        one record per image.
    """
    planes = [Plane(weight, bias) for weight, bias in zip(svm["weights"], svm["biases"], strict=True)]
    slices, rng = rows(regions), np.random.default_rng(seed)
    variants: dict[str, dict[str, Record]] = {"detections": {}, "no_bbox": {}, "random": {}}
    for image_id, size in sizes.items():
        record = regions[image_id]
        proposals = ~record["is_gt"] & ~record["flipped"]
        boxes, x = record["boxes"][proposals], described[slices[image_id]][proposals]
        image_scores = scores(x, planes, svm["scale"])
        random_scores = rng.normal(size=image_scores.shape).astype(np.float32)
        deltas = corrections(x, regression)
        variants["detections"][image_id] = detect(boxes, image_scores, settings, size=size, deltas=deltas)
        variants["no_bbox"][image_id] = detect(boxes, image_scores, settings, size=size)
        variants["random"][image_id] = detect(boxes, random_scores, settings, size=size)
    return variants
