"""The metrics of a method in every resample of the test images, under the names that its metrics file has.

The evaluating stages take standard errors from them, and `python -m commands.compare` the interval of a difference: one
code, so both speak of the same number. `counts` [B, I] is of `src.bootstrap.draws`, for the sorted image ids.
"""

import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from src import bootstrap
from src.average_precision import Outcomes, check_labels, coco_outcomes, voc_outcomes
from src.proposal_recall import best_overlaps
from src.records import read_records

MAIN = "detections.npz"
VOC07, COCO = "map_voc07", "map_coco"
ByClass = dict[str, Outcomes]


def match(folder: Path, targets: Mapping[str, Mapping[str, Any]], classes: Sequence[str]) -> dict[str, ByClass]:
    """What the detections of a folder turn out to be, by the metric that is made of it.

    Args:
        folder: holds `detections.npz`, and variants of the same detector that its score is to be compared with.
        targets: the test images, at least one.
        classes: without background.

    Returns:
        `map_voc07` and `map_coco` of `detections.npz`, and `map_voc07_NAME` of every other NAME.npz. An image without a
        record and a label beyond the classes is an `InputError` that names the file.
    """
    others = sorted(set(folder.glob("*.npz")) - {folder / MAIN})
    names = {folder / MAIN: VOC07, **{path: f"{VOC07}_{path.stem}" for path in others}}
    found = {}
    for path, name in names.items():
        records = read_records(path, list(targets))
        check_labels(records, len(classes), str(path))
        found[name] = voc_outcomes(records, targets, classes)
        if name == VOC07:
            found[COCO] = coco_outcomes(records, targets, classes)
    return found


def of_detections(matched: Mapping[str, ByClass], counts: np.ndarray) -> dict[str, np.ndarray]:
    """Each metric [B] of `match`."""
    rules = {name: bootstrap.coco_map if name == COCO else bootstrap.voc07_map for name in matched}
    return {name: rules[name](outcomes, counts) for name, outcomes in matched.items()}


def of_proposals(
    boxes: Mapping[str, np.ndarray],
    targets: Mapping[str, Mapping[str, Any]],
    recall_at: Sequence[int],
    counts: np.ndarray,
) -> dict[str, np.ndarray]:
    """`recall_50`, `recall_70`, `mabo` and `recall_50_at_K` for each K of `recall_at`, each [B].

    Args:
        boxes: image id -> proposals [N, 4] in their order, for every image of `targets`.
        targets: the test images, at least one.
        recall_at: numbers of proposals.
        counts: [B, I].
    """
    covered = best_overlaps(boxes, targets)
    return {
        "recall_50": bootstrap.recall(covered, 0.5, counts),
        "recall_70": bootstrap.recall(covered, 0.7, counts),
        "mabo": bootstrap.mabo(covered, counts),
        **{f"recall_50_at_{k}": bootstrap.recall(best_overlaps(boxes, targets, k), 0.5, counts) for k in recall_at},
    }


def of_predictions(right: np.ndarray, counts: np.ndarray) -> dict[str, np.ndarray]:
    """`accuracy` [B] of a classifier that is `right` [I] in some images, in the order of the sorted ids."""
    return {"accuracy": bootstrap.accuracy(right, counts)}


def standard_errors(resampled: Mapping[str, np.ndarray]) -> dict[str, float | None]:
    """The standard error of each metric [B], as a metrics file holds it: null where there is none."""
    found = {name: bootstrap.standard_error(values) for name, values in resampled.items()}
    return {name: None if math.isnan(value) else value for name, value in found.items()}
