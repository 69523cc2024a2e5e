"""The figures of a model card: what was measured on the test split, with what it is to be compared with beside it."""

from collections.abc import Mapping
from typing import Any, NamedTuple

Metrics = Mapping[str, Any]


class Figure(NamedTuple):
    """A row of the table."""

    measure: str
    value: float
    baselines: Mapping[str, float]  # by what they are; may be empty
    error: float | None = None  # standard error over test images, where it is known


def of_detections(metrics: Metrics) -> list[Figure]:
    """Average precision, of metrics/rcnn.json or of another detector's: which baselines there are, the file says."""
    kinds = {"map_voc07_random": "random ranking of the proposals", "map_voc07_untrained": "before training"}
    rows = [
        Figure("mAP at IoU 0.5, VOC 2007's 11 points", *_with_error(metrics, "map_voc07", _known(metrics, kinds))),
        Figure("mAP at IoU 0.5, area under the curve (VOC 2012)", metrics["map_voc12"], {}),
        Figure("mAP at IoU 0.50:0.95 (COCO)", *_with_error(metrics, "map_coco", {})),
    ]
    if "map_voc07_no_bbox" in metrics:
        known = _known(metrics, kinds)
        rows.insert(1, Figure("... without box regression", *_with_error(metrics, "map_voc07_no_bbox", known)))
    return rows + [Figure(f"AP of {name}, VOC 2007", value, {}) for name, value in metrics["ap"].items()]


def of_proposals(metrics: Metrics, untrained: Metrics | None = None) -> list[Figure]:
    """Recall of proposals, of metrics/proposals_NAME.json, and of the same network before training where there is one.

    A sliding window has as many boxes an image as there are proposals; the first few have no such baseline.
    """
    rows = []
    for key, measure in _recalls(metrics):
        baselines = {"sliding window": metrics[window]} if (window := f"{key}_sliding_window") in metrics else {}
        if untrained is not None:
            baselines["before training"] = untrained[key]
        rows.append(Figure(measure, *_with_error(metrics, key, baselines)))
    baselines = {} if untrained is None else {"before training": untrained["mabo"]}
    return [*rows, Figure("mean average best overlap", *_with_error(metrics, "mabo", baselines))]


def _recalls(metrics: Metrics) -> list[tuple[str, str]]:
    every = [("recall_50", "recall at IoU 0.5, all proposals"), ("recall_70", "recall at IoU 0.7, all proposals")]
    prefix = "recall_50_at_"
    counts = [key.removeprefix(prefix) for key in metrics if key.startswith(prefix)]
    return [*every, *((f"{prefix}{count}", f"recall at IoU 0.5, the first {count}") for count in counts)]


def of_anchors(metrics: Metrics) -> list[Figure]:
    """How the RPN labels anchors, of metrics/rpn.json."""
    before = metrics["untrained"]
    rows = [
        Figure(f"{name} of the positive anchors", metrics[name], {"before training": before[name]})
        for name in ("precision", "recall")
    ]
    always = {"all background": metrics["accuracy_always_background"], "before training": before["accuracy"]}
    return [*rows, Figure("accuracy over the anchors", metrics["accuracy"], always)]


def of_classifier(metrics: Metrics) -> list[Figure]:
    """Of metrics/NAME.json of a classifier."""
    always = {f"always {metrics['most_frequent']}": metrics["accuracy_most_frequent"]}
    return [
        Figure("accuracy", *_with_error(metrics, "accuracy", always)),
        Figure("macro F1", metrics["macro_f1"], {}),
        Figure("mean cross entropy", metrics["loss"], {}),
        Figure("expected calibration error", metrics["calibration_error"], {}),
        *(Figure(f"recall of {name}", row["recall"], {}) for name, row in metrics["by_class"].items()),
    ]


def _with_error(
    metrics: Metrics, key: str, baselines: Mapping[str, float]
) -> tuple[float, Mapping[str, float], float | None]:
    """The fields of a `Figure` behind its measure."""
    return metrics[key], baselines, metrics.get("standard_error", {}).get(key)


def _known(metrics: Metrics, kinds: Mapping[str, str]) -> dict[str, float]:
    return {kind: metrics[key] for key, kind in kinds.items() if key in metrics}
