"""Recall and mean average best overlap (MABO) of region proposals, and a sliding window to compare with.

Uijlings et al. 2013 (IJCV 104), Sec. 5. Difficult objects are left out.
M is the number of objects in all images, N that of proposals in one image.
"""

from collections.abc import Mapping
from typing import NamedTuple

import numpy as np

from src.boxes.overlap import iou
from src.boxes.target import Targets
from src.params import Count, Section

WINDOW_SCALES = (0.1, 0.2, 0.3, 0.45, 0.65, 0.9)  # square root of a window's area, relative to that of the image's area
WINDOW_ASPECTS = (0.5, 1.0, 2.0)  # width to height


class Evaluate(Section):
    """The numbers of proposals at which the evaluation reports recall."""

    recall_at: list[Count]


class Covered(NamedTuple):
    """The best overlap of each object that is not difficult; M may be 0."""

    overlaps: np.ndarray  # [M], the largest IoU of any proposal with the object; 0 in an image without proposals
    labels: np.ndarray  # [M]
    images: np.ndarray  # [M], the image of each object: an index into the sorted image ids


def best_overlaps(proposals: Mapping[str, np.ndarray], targets: Targets, first: int | None = None) -> Covered:
    """Find the largest IoU of any proposal with each object.

    Args:
        proposals: image id -> boxes [N, 4], for every image of `targets`; N may be 0.
        targets: image id -> boxes, labels, difficult.
        first: number of proposals per image to use, in their order; None for all.

    Returns:
        One row per object, image by image in the order of `targets`.
    """
    overlaps, labels, images = [np.empty(0)], [np.empty(0, np.int64)], [np.empty(0, np.int64)]
    place = {image_id: number for number, image_id in enumerate(sorted(targets))}
    for image_id, target in targets.items():
        counted = ~target["difficult"]
        boxes = target["boxes"][counted].astype(np.float64)
        ious = iou(boxes, proposals[image_id][:first].astype(np.float64))
        overlaps.append(ious.max(axis=1, initial=0.0))
        labels.append(target["labels"][counted])
        images.append(np.full(len(boxes), place[image_id]))
    return Covered(np.concatenate(overlaps), np.concatenate(labels), np.concatenate(images))


def recall(overlaps: np.ndarray, iou_thresh: float) -> float:
    """Compute the share of the objects [M] with an overlap of at least `iou_thresh`; nan if there are no objects."""
    return float((overlaps >= iou_thresh).mean()) if len(overlaps) else float("nan")


def mabo(overlaps: np.ndarray, labels: np.ndarray) -> float:
    """Compute the mean over the classes of the average best overlap (Sec. 5); nan if there are no objects.

    >>> mabo(np.array([1.0, 1.0, 0.5]), np.array([1, 1, 2]))  # the mean over the objects is 0.83
    0.75
    """
    averages = [overlaps[labels == label].mean() for label in np.unique(labels)]
    return float(np.mean(averages)) if averages else float("nan")


def sliding_window(size: tuple[int, int], count: int) -> np.ndarray:
    """Place windows of fixed shapes on a regular grid: a baseline that does not look at the image.

    The shapes (`WINDOW_SCALES` times `WINDOW_ASPECTS`) share the count equally. A side longer than the image's is
    shortened to it. The windows of one shape lie evenly in the image, with about the same step along both sides.

    Args:
        size: (height, width) of the image, in pixels.
        count: number of windows, 0 or more.

    Returns:
        float32 [count, 4].
    """
    shapes = [(scale, aspect) for scale in WINDOW_SCALES for aspect in WINDOW_ASPECTS]
    shares = np.diff(np.linspace(0, count, len(shapes) + 1).astype(int))
    windows = [_grid(size, *shape, share) for shape, share in zip(shapes, shares, strict=True)]
    return np.concatenate(windows).astype(np.float32)


def _grid(size: tuple[int, int], scale: float, aspect: float, count: int) -> np.ndarray:
    limits = np.array([size[1], size[0]], np.float64)  # width, height
    sides = np.minimum(scale * np.sqrt(limits.prod()) * np.array([aspect**0.5, aspect**-0.5]), limits)
    free = limits - sides
    columns = max(1, round(np.sqrt(count * (free[0] + 1) / (free[1] + 1))))
    rows = max(1, -(-count // columns))
    cells = np.linspace(0, rows * columns - 1, count).round()  # the grid can have a few cells too many
    steps = np.stack([(cells % columns + 0.5) / columns, (cells // columns + 0.5) / rows], axis=1)
    return np.concatenate([free * steps, free * steps + sides], axis=1)
