"""What was found, as files: COCO's result format for detections, and tables for people."""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from src.records import Record
from src.storage import atomic, write_csv

DIGITS = 4  # of scores and pixels: more than either is worth
DETECTION_COLUMNS = ["image_id", "category_id", "class", "score", "x1", "y1", "x2", "y2"]


def coco_results(records: Mapping[str, Record]) -> list[dict[str, Any]]:
    """COCO's result format: {image_id, category_id, bbox, score}, `bbox` being [x, y, width, height] in pixels.

    Args:
        records: by image id, each with boxes [N, 4], labels [N] from 1, scores [N]; N may be 0.
    """
    return [
        {"image_id": image_id, "category_id": label, "bbox": [x1, y1, x2 - x1, y2 - y1], "score": score}
        for image_id, label, score, (x1, y1, x2, y2) in _rows(records)
    ]


def detection_table(records: Mapping[str, Record], classes: Sequence[str]) -> pd.DataFrame:
    """A row a detection, with `DETECTION_COLUMNS`; x2 and y2 lie just outside the box."""
    rows = [(image_id, label, classes[label - 1], score, *box) for image_id, label, score, box in _rows(records)]
    return pd.DataFrame(rows, columns=DETECTION_COLUMNS)


def _rows(records: Mapping[str, Record]) -> list[tuple[str, int, float, list[float]]]:
    return [
        (image_id, int(label), float(score), box.tolist())
        for image_id, record in records.items()
        for box, label, score in zip(record["boxes"], record["labels"], record["scores"], strict=True)
    ]


def class_table(probabilities: Mapping[str, np.ndarray], classes: Sequence[str]) -> pd.DataFrame:
    """A row an image: the likeliest class, its score, and the probability of each class in a column of its name."""
    rows = [
        (image_id, classes[int(found.argmax())], float(found.max()), *found.tolist())
        for image_id, found in probabilities.items()
    ]
    return pd.DataFrame(rows, columns=["image_id", "predicted", "score", *(f"p_{name}" for name in classes)])


def class_results(probabilities: Mapping[str, np.ndarray], classes: Sequence[str]) -> list[dict[str, Any]]:
    """The same for programs: {image_id, predicted, score, probabilities by class}."""
    return [
        {
            "image_id": image_id,
            "predicted": classes[int(found.argmax())],
            "score": float(found.max()),
            "probabilities": dict(zip(classes, found.tolist(), strict=True)),
        }
        for image_id, found in probabilities.items()
    ]


def write(out: Path, name: str, results: list[dict[str, Any]], table: pd.DataFrame) -> None:
    """Write `out/name.json` and `out/name.csv`; numbers have four digits behind the point."""
    with atomic(out / f"{name}.json") as temporary:
        temporary.write_text(json.dumps(_rounded(results), indent=None, allow_nan=False) + "\n")
    write_csv(out / f"{name}.csv", table)


def _rounded(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _rounded(item) for key, item in value.items()}
    if isinstance(value, list):
        return [_rounded(item) for item in value]
    return round(value, DIGITS) if isinstance(value, float) else value
