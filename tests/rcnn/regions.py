"""Make targets and regions from lists."""

import numpy as np

from src.boxes.target import Target
from src.files.records import Record


def target(boxes: list[list[float]], labels: list[int], difficult: list[bool] | None = None) -> Target:
    return {
        "boxes": np.array(boxes, np.float32).reshape(-1, 4),
        "labels": np.array(labels, np.int64),
        "difficult": np.array(difficult or [False] * len(labels), bool),
        "image_id": "",
    }


def record(gt_boxes: list[list[float]], boxes: list[list[float]]) -> Record:
    every = np.array([*gt_boxes, *boxes], np.float32).reshape(-1, 4)
    return {"boxes": every, "is_gt": np.arange(len(every)) < len(gt_boxes), "flipped": np.zeros(len(every), bool)}


def labelled(positives: np.ndarray, negatives: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return the rows of both as float32 [N, D], and +1 or -1 for each."""
    y = np.repeat(np.array([1, -1], np.float32), [len(positives), len(negatives)])
    return np.concatenate([positives, negatives], dtype=np.float32), y
