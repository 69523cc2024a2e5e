"""Predictions as files: COCO's result format for detections, and tables for people."""

import json
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pandas as pd

from src.files.records import Record
from src.files.storage import atomic

DIGITS = 4  # of scores and pixels; neither is more precise than that
DETECTION_COLUMNS = ["image_id", "image", "category_id", "class", "score", "x1", "y1", "x2", "y2"]


class Detected(NamedTuple):
    """The detections in one image."""

    file: str  # its name, for people
    size: tuple[int, int]  # height, width in pixels
    record: Record  # boxes [N, 4], labels [N] from 1, scores [N]; N may be 0


def numbered(names: Iterable[str]) -> dict[str, int]:
    """Return COCO's image ids, which are whole numbers, by the names of the images.

    If all names are numbers and no two numbers are equal, these are the ids (COCO's 000000397133.jpg is image 397133).
    Otherwise the images are counted from 1.
    """
    listed = list(names)
    own = [int(name) for name in listed if name.isascii() and name.isdigit()]
    numbers = own if len(set(own)) == len(listed) else range(1, len(listed) + 1)
    return dict(zip(listed, numbers, strict=True))


def coco_results(detections: Mapping[str, Detected]) -> list[dict[str, Any]]:
    """Return one {image_id, category_id, bbox [x, y, width, height] in pixels, score} per detection: COCO's format."""
    return [
        {"image_id": number, "category_id": label, "bbox": [x1, y1, x2 - x1, y2 - y1], "score": score}
        for number, _, label, score, (x1, y1, x2, y2) in _rows(detections)
    ]


def coco_set(
    detections: Mapping[str, Detected], classes: Sequence[str], score_thresh: float
) -> dict[str, list[dict[str, Any]]]:
    """Return a data set in COCO's format, whose annotations are the detections with a score above `score_thresh`.

    Labelling tools import it, so that people correct boxes instead of drawing them. Its images and classes are also
    those that `coco_results` refers to.
    """
    found = [result for result in coco_results(detections) if result["score"] > score_thresh]
    return {
        "images": [
            {"id": number, "file_name": image.file, "height": image.size[0], "width": image.size[1]}
            for image, number in zip(detections.values(), numbered(detections).values(), strict=True)
        ],
        "annotations": [
            {"id": number, "iscrowd": 0, "area": result["bbox"][2] * result["bbox"][3], **result}
            for number, result in enumerate(found, start=1)
        ],
        "categories": [{"id": label, "name": name} for label, name in enumerate(classes, start=1)],
    }


def detection_table(detections: Mapping[str, Detected], classes: Sequence[str]) -> pd.DataFrame:
    """Return a table with a row per detection and `DETECTION_COLUMNS`; x2 and y2 lie just outside the box."""
    rows = [
        (number, name, label, classes[label - 1], score, *box) for number, name, label, score, box in _rows(detections)
    ]
    return pd.DataFrame(rows, columns=DETECTION_COLUMNS)


def _rows(detections: Mapping[str, Detected]) -> list[tuple[int, str, int, float, list[float]]]:
    ids = numbered(detections)
    return [
        (ids[name], name, int(label), float(score), box.tolist())
        for name, (_, _, record) in detections.items()
        for box, label, score in zip(record["boxes"], record["labels"], record["scores"], strict=True)
    ]


def class_table(probabilities: Mapping[str, np.ndarray], classes: Sequence[str]) -> pd.DataFrame:
    """Return a table with a row per image: the most probable class, its score, and the probability of each class."""
    rows = [
        (name, classes[int(values.argmax())], float(values.max()), *values.tolist())
        for name, values in probabilities.items()
    ]
    return pd.DataFrame(rows, columns=["image", "predicted", "score", *(f"p_{name}" for name in classes)])


def class_results(probabilities: Mapping[str, np.ndarray], classes: Sequence[str]) -> list[dict[str, Any]]:
    """Return the content of `class_table` for programs: {image, predicted, score, probabilities by class} per image."""
    return [
        {
            "image": name,
            "predicted": classes[int(values.argmax())],
            "score": float(values.max()),
            "probabilities": dict(zip(classes, values.tolist(), strict=True)),
        }
        for name, values in probabilities.items()
    ]


def write_json(path: Path, content: Any) -> None:
    """Write JSON on one line, with four decimals; `src.files.storage.write_json` puts every number on its own line."""
    with atomic(path) as temporary:
        temporary.write_text(json.dumps(_rounded(content), allow_nan=False) + "\n")


def _rounded(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _rounded(item) for key, item in value.items()}
    if isinstance(value, list):
        return [_rounded(item) for item in value]
    return round(value, DIGITS) if isinstance(value, float) else value
