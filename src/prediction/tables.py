"""What was found, as files: COCO's result format for detections, and tables for people."""

import json
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pandas as pd

from src.files.records import Record
from src.files.storage import atomic

DIGITS = 4  # of scores and pixels: more than either is worth
DETECTION_COLUMNS = ["image_id", "image", "category_id", "class", "score", "x1", "y1", "x2", "y2"]


class Detected(NamedTuple):
    """What was found in an image."""

    file: str  # its name, for people
    size: tuple[int, int]  # height, width in pixels
    record: Record  # boxes [N, 4], labels [N] from 1, scores [N]; N may be 0


def numbered(names: Iterable[str]) -> dict[str, int]:
    """COCO's image ids, which are whole numbers, by the names of images.

    A set whose images are named by numbers, each its own, keeps these (COCO's 000000397133.jpg is image 397133); any
    other is counted from 1.
    """
    listed = list(names)
    own = [int(name) for name in listed if name.isascii() and name.isdigit()]
    numbers = own if len(set(own)) == len(listed) else range(1, len(listed) + 1)
    return dict(zip(listed, numbers, strict=True))


def coco_results(found: Mapping[str, Detected]) -> list[dict[str, Any]]:
    """COCO's result format: {image_id, category_id, bbox, score}, `bbox` being [x, y, width, height] in pixels."""
    return [
        {"image_id": number, "category_id": label, "bbox": [x1, y1, x2 - x1, y2 - y1], "score": score}
        for number, _, label, score, (x1, y1, x2, y2) in _rows(found)
    ]


def coco_images(found: Mapping[str, Detected], classes: Sequence[str]) -> dict[str, list[dict[str, Any]]]:
    """What the numbers of `coco_results` stand for: a file in COCO's format without annotations."""
    return {
        "images": [
            {"id": number, "file_name": found[name].file, "height": found[name].size[0], "width": found[name].size[1]}
            for name, number in numbered(found).items()
        ],
        "annotations": [],
        "categories": [{"id": label, "name": name} for label, name in enumerate(classes, start=1)],
    }


def detection_table(found: Mapping[str, Detected], classes: Sequence[str]) -> pd.DataFrame:
    """A row a detection, with `DETECTION_COLUMNS`; x2 and y2 lie just outside the box."""
    rows = [(number, name, label, classes[label - 1], score, *box) for number, name, label, score, box in _rows(found)]
    return pd.DataFrame(rows, columns=DETECTION_COLUMNS)


def _rows(found: Mapping[str, Detected]) -> list[tuple[int, str, int, float, list[float]]]:
    ids = numbered(found)
    return [
        (ids[name], name, int(label), float(score), box.tolist())
        for name, (_, _, record) in found.items()
        for box, label, score in zip(record["boxes"], record["labels"], record["scores"], strict=True)
    ]


def class_table(probabilities: Mapping[str, np.ndarray], classes: Sequence[str]) -> pd.DataFrame:
    """A row an image: the likeliest class, its score, and the probability of each class in a column of its name."""
    rows = [
        (name, classes[int(found.argmax())], float(found.max()), *found.tolist())
        for name, found in probabilities.items()
    ]
    return pd.DataFrame(rows, columns=["image", "predicted", "score", *(f"p_{name}" for name in classes)])


def class_results(probabilities: Mapping[str, np.ndarray], classes: Sequence[str]) -> list[dict[str, Any]]:
    """The same for programs: {image, predicted, score, probabilities by class}."""
    return [
        {
            "image": name,
            "predicted": classes[int(found.argmax())],
            "score": float(found.max()),
            "probabilities": dict(zip(classes, found.tolist(), strict=True)),
        }
        for name, found in probabilities.items()
    ]


def write_json(path: Path, content: Any) -> None:
    """Write numbers with four digits behind the point, on one line; `src.files.storage.write_json` indents every number."""
    with atomic(path) as temporary:
        temporary.write_text(json.dumps(_rounded(content), allow_nan=False) + "\n")


def _rounded(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _rounded(item) for key, item in value.items()}
    if isinstance(value, list):
        return [_rounded(item) for item in value]
    return round(value, DIGITS) if isinstance(value, float) else value
