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
