"""The figures of region proposals on the test images, and their recall curves, with those of a sliding window."""

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
import pandas as pd

from src.boxes.target import Targets
from src.evaluation.bootstrap import draws, standard_errors
from src.evaluation.detector_metrics import with_null
from src.evaluation.proposal_recall import best_overlaps, mabo, recall, sliding_window
from src.evaluation.resampled_proposals import of_proposals

IOU_THRESHS = [percent / 100 for percent in range(50, 100, 5)]
COUNTS = [1, 2, 5, 10, 20, 50, 100, 200, 500, 1000, 2000, 5000]

Boxes = Mapping[str, np.ndarray]  # image id -> proposals [N, 4], in their order
Sizes = Mapping[str, tuple[int, int]]  # image id -> (height, width)


class Measured(NamedTuple):
    """The contents of the three files of an evaluation of proposals."""

    metrics: dict[str, Any]  # recalls, MABO, the sliding window's recalls, standard errors, counts
    by_iou: pd.DataFrame  # `iou`, `recall` and `sliding_window`, one row per IoU threshold
    by_count: pd.DataFrame  # `proposals`, `recall_50`, `recall_70` and `sliding_window_50`, one row per count


def measure(boxes: Boxes, targets: Targets, sizes: Sizes, recall_at: Sequence[int]) -> Measured:
    """Measure the proposals of test images, beside as many sliding windows.

    Args:
        boxes: proposals of every image of `targets`.
        targets: the test images, at least one.
        sizes: of the same images.
        recall_at: numbers of proposals.
    """
    overlaps, labels, _ = best_overlaps(boxes, targets)
    baseline = best_overlaps(_windows(boxes, sizes), targets).overlaps
    metrics = {
        "recall_50": recall(overlaps, 0.5),
        "recall_70": recall(overlaps, 0.7),
        "mabo": mabo(overlaps, labels),
        "proposals_per_image": sum(map(len, boxes.values())) / len(boxes),
        **{f"recall_50_at_{k}": recall(best_overlaps(boxes, targets, k).overlaps, 0.5) for k in recall_at},
        "recall_50_sliding_window": recall(baseline, 0.5),
        "recall_70_sliding_window": recall(baseline, 0.7),
    }
    errors = standard_errors(of_proposals(boxes, targets, recall_at, draws(len(targets))))
    rows = [(thresh, recall(overlaps, thresh), recall(baseline, thresh)) for thresh in IOU_THRESHS]
    return Measured(
        {**with_null(metrics), "standard_error": errors, "images": len(targets), "objects": len(overlaps)},
        pd.DataFrame(rows, columns=["iou", "recall", "sliding_window"]),
        _by_count(boxes, targets, sizes),
    )


def _by_count(boxes: Boxes, targets: Targets, sizes: Sizes) -> pd.DataFrame:
    most = max(map(len, boxes.values()))
    rows = []
    for k in [*(k for k in COUNTS if k < most), most]:
        firsts = best_overlaps(boxes, targets, k).overlaps
        windows = best_overlaps(_windows(boxes, sizes, k), targets).overlaps
        rows.append((k, recall(firsts, 0.5), recall(firsts, 0.7), recall(windows, 0.5)))
    return pd.DataFrame(rows, columns=["proposals", "recall_50", "recall_70", "sliding_window_50"])


def _windows(boxes: Boxes, sizes: Sizes, most: int | None = None) -> dict[str, np.ndarray]:
    """Return as many sliding windows per image as it has proposals, or `most` if that is fewer."""
    counts = {image_id: len(rows) if most is None else min(most, len(rows)) for image_id, rows in boxes.items()}
    return {image_id: sliding_window(sizes[image_id], count) for image_id, count in counts.items()}
