"""The figures of a model card: measurements on the test split, each with the baselines to compare it with."""

from collections.abc import Mapping
from typing import Any, NamedTuple

Metrics = Mapping[str, Any]


class Figure(NamedTuple):
    """A row of the table."""

    measure: str
    value: float
    baselines: Mapping[str, float]  # value by name; may be empty
    error: float | None = None  # standard error over test images, if it is known


def of_detections(metrics: Metrics) -> list[Figure]:
    """List the average precision in metrics/rcnn.json, or another detector's file, with the baselines in that file."""
    names = {"map_voc07_random": "random ranking of the proposals", "map_voc07_untrained": "before training"}
    rows = [
        Figure("mAP at IoU 0.5, VOC 2007's 11 points", *_with_error(metrics, "map_voc07", _known(metrics, names))),
        Figure("mAP at IoU 0.5, area under the curve (VOC 2012)", metrics["map_voc12"], {}),
        Figure("mAP at IoU 0.50:0.95 (COCO)", *_with_error(metrics, "map_coco", {})),
    ]
    if "map_voc07_no_bbox" in metrics:
        known = _known(metrics, names)
        rows.insert(1, Figure("... without box regression", *_with_error(metrics, "map_voc07_no_bbox", known)))
    return rows + [Figure(f"AP of {name}, VOC 2007", value, {}) for name, value in metrics["ap"].items()]


def of_proposals(metrics: Metrics, untrained: Metrics | None = None) -> list[Figure]:
    """List the recall of proposals in metrics/proposals_NAME.json.

    A sliding window with as many boxes per image is the baseline of all proposals, but not of the first few.

    Args:
        metrics: the file's content.
        untrained: the same for the network before training, if there is one.
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
    whole = [("recall_50", "recall at IoU 0.5, all proposals"), ("recall_70", "recall at IoU 0.7, all proposals")]
    prefix = "recall_50_at_"
    counts = [key.removeprefix(prefix) for key in metrics if key.startswith(prefix)]
    return [*whole, *((f"{prefix}{count}", f"recall at IoU 0.5, the first {count}") for count in counts)]


def of_anchors(metrics: Metrics) -> list[Figure]:
    """List the precision, recall and accuracy of the RPN's anchors in metrics/rpn.json."""
    before = metrics["untrained"]
    rows = [
        Figure(f"{name} of the positive anchors", metrics[name], {"before training": before[name]})
        for name in ("precision", "recall")
    ]
    always = {"all background": metrics["accuracy_always_background"], "before training": before["accuracy"]}
    return [*rows, Figure("accuracy over the anchors", metrics["accuracy"], always)]


def of_classifier(metrics: Metrics) -> list[Figure]:
    """List the figures in metrics/NAME.json of a classifier."""
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
    """Return the fields of a `Figure` after `measure`."""
    return metrics[key], baselines, metrics.get("standard_error", {}).get(key)


def _known(metrics: Metrics, names: Mapping[str, str]) -> dict[str, float]:
    return {name: metrics[key] for key, name in names.items() if key in metrics}
