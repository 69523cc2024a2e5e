"""Detections of R-CNN, made from the scores of proposals (R-CNN Sec. 2.2 and App. C)."""

from collections.abc import Mapping

import numpy as np

from src.files.records import Record
from src.params import Count, Fraction, Section
from src.rcnn.score import Scores


class DetectRcnn(Section):
    """The section `detect_rcnn`: from scores to detections."""

    score_thresh: float
    nms_thresh: Fraction
    max_per_image: Count


def select(boxes: np.ndarray, scores: np.ndarray, settings: DetectRcnn) -> np.ndarray:
    """Select the boxes of one class: scores above `score_thresh`, NMS, then the best `max_per_image`.

    Args:
        boxes: [N, 4].
        scores: [N].

    Returns:
        indices by descending score; may be empty.
    """
    import torch  # here, not above: the stage prints its help and reads its parameters without it
    from torchvision.ops import nms

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
    import torch  # as in `select`

    from src.boxes.geometry import clip, decode

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
    scored: Mapping[str, Scores],
    proposals: Mapping[str, Record],
    sizes: Mapping[str, tuple[int, int]],
    settings: DetectRcnn,
    seed: int,
) -> dict[str, dict[str, Record]]:
    """Detect the objects in images, in three variants.

    Args:
        scored: scores and box corrections of the proposals by image.
        proposals: records of `boxes` by image.
        sizes: (height, width) of each image to process.
        settings: the section `detect_rcnn`.
        seed: seed of the random scores.

    Returns:
        `detections`, `no_bbox` (without box regression) and `random` (random scores for the same proposals), each with
        one record per image.
    """
    rng = np.random.default_rng(seed)
    variants: dict[str, dict[str, Record]] = {"detections": {}, "no_bbox": {}, "random": {}}
    for image_id, size in sizes.items():
        boxes = proposals[image_id]["boxes"]
        image_scores, deltas = (np.array(values) for values in scored[image_id])  # read from the file once
        random_scores = rng.normal(size=image_scores.shape).astype(np.float32)
        variants["detections"][image_id] = detect(boxes, image_scores, settings, size=size, deltas=deltas)
        variants["no_bbox"][image_id] = detect(boxes, image_scores, settings, size=size)
        variants["random"][image_id] = detect(boxes, random_scores, settings, size=size)
    return variants
