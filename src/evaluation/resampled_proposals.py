"""The recall of proposals in every resample of the test images, with the notation of resampled_detections.py."""

from collections.abc import Mapping, Sequence

import numpy as np

from src.boxes.target import Targets
from src.evaluation.bootstrap import mean_over_classes, weighted_mean
from src.evaluation.proposal_recall import Covered, best_overlaps


def of_proposals(
    boxes: Mapping[str, np.ndarray],
    targets: Targets,
    recall_at: Sequence[int],
    counts: np.ndarray,
) -> dict[str, np.ndarray]:
    """Compute `recall_50`, `recall_70`, `mabo`, and `recall_50_at_K` for each K of `recall_at`, each [B].

    Args:
        boxes: image id -> proposals [N, 4] in their order, for every image of `targets`.
        targets: the test images, at least one.
        recall_at: numbers of proposals.
        counts: [B, I].
    """
    covered = best_overlaps(boxes, targets)
    return {
        "recall_50": recall(covered, 0.5, counts),
        "recall_70": recall(covered, 0.7, counts),
        "mabo": mabo(covered, counts),
        **{f"recall_50_at_{k}": recall(best_overlaps(boxes, targets, k), 0.5, counts) for k in recall_at},
    }


def recall(covered: Covered, iou_thresh: float, counts: np.ndarray) -> np.ndarray:
    """Compute the share [B] of the objects with an overlap of at least `iou_thresh`."""
    return weighted_mean(covered.overlaps >= iou_thresh, covered.images, counts)


def mabo(covered: Covered, counts: np.ndarray) -> np.ndarray:
    """Compute the mean average best overlap [B] over the classes that have objects in a resample."""
    masks = [covered.labels == label for label in np.unique(covered.labels)]
    averages = [weighted_mean(covered.overlaps[mask], covered.images[mask], counts) for mask in masks]
    return mean_over_classes(averages, counts)
