"""The figures of a detector on the test images, and its precision-recall curves."""

import math
from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pandas as pd

from src.boxes.target import Targets
from src.evaluation.average_precision import (
    Curve,
    coco_ap,
    coco_figures,
    mean_ap,
    precision_recall,
    thinned,
    voc07,
    voc12,
)
from src.evaluation.bootstrap import draws, in_parts, standard_errors
from src.evaluation.resampled_detections import COCO, MAIN, VOC07, match, of_detections
from src.files.records import read_records

if TYPE_CHECKING:
    from src.parallel import Jobs

IMAGES_PER_JOB = 1000  # a process takes a second to start, and 200 images with 100 detections each take one


def measure(
    files: Mapping[str, Path], targets: Targets, classes: Sequence[str], jobs: "Jobs" = 1
) -> tuple[dict[str, Any], pd.DataFrame]:
    """Measure a detector, and variants of it.

    Args:
        files: `detections`, and variants of the same detector that its score is compared with, by name.
        targets: the test images, at least one.
        classes: without background.
        jobs: processes, at most, or a pool, that compute the standard errors; the result does not depend on them.

    Returns:
        (content of the metrics file, table of the curves). The content has `map_voc07`, `map_voc12`, `map_coco`,
        `map_voc07_NAME` of each variant, their standard errors over test images, `ap` per class, the figures of COCO's
        code (`coco`), and counts; a figure is None if there are no objects. The table has the columns `class`, `recall`
        and `precision`.
    """
    matched = match(files, targets, classes)
    curves = {
        name: {label: precision_recall(of_class)[0] for label, of_class in outcomes.items()}
        for name, outcomes in matched.items()
        if name != COCO
    }
    by_class = curves.pop(VOC07)
    ap = {name: voc07(curve) for name, curve in by_class.items()}
    metrics = {
        VOC07: mean_ap(ap.values()),
        "map_voc12": mean_ap(map(voc12, by_class.values())),
        COCO: mean_ap(coco_ap(matched[COCO]).values()),
        **{name: mean_ap(map(voc07, others.values())) for name, others in curves.items()},
    }
    useful = min(jobs, 1 + len(targets) // IMAGES_PER_JOB) if isinstance(jobs, int) else jobs
    content = {
        **with_null(metrics),
        "standard_error": standard_errors(in_parts(partial(of_detections, matched), draws(len(targets)), useful)),
        "ap": with_null(ap),
        "coco": with_null(coco_figures(read_records(files[MAIN], list(targets)), targets, classes)),
        "images": len(targets),
        "objects": sum(curve.objects for curve in by_class.values()),
        "classes": len(classes),
        "detections": sum(len(of_class.images) for of_class in matched[VOC07].values()),
    }
    return content, _table(by_class)


def with_null(values: Mapping[str, float]) -> dict[str, float | None]:
    """Replace nan by None, because JSON has no nan."""
    return {name: None if math.isnan(value) else value for name, value in values.items()}


def _table(curves: Mapping[str, Curve]) -> pd.DataFrame:
    rows = [
        (name, *point)
        for name, curve in ((name, thinned(curve)) for name, curve in curves.items())
        for point in zip(curve.recall, curve.precision, strict=True)
    ]
    return pd.DataFrame(rows, columns=["class", "recall", "precision"])
