"""The header of a model card that model hubs read: YAML between two lines of dashes, as Hugging Face documents it.

https://huggingface.co/docs/hub/model-cards: tags and task for the search, and figures in `model-index`.
"""

from collections.abc import Sequence
from typing import Any

from src.cards.figures import Figure

DETECTION, CLASSIFICATION = "object-detection", "image-classification"  # names of tasks on hubs
TYPES = {  # metric's name on hubs, by the beginning of a figure's measure; other figures are not in the header
    "mAP at": "map",
    "recall at": "recall",
    "mean average best overlap": "mabo",
    "accuracy": "accuracy",  # of a classifier; that over the RPN's anchors is another one
    "macro F1": "f1",
}
TAGS = {
    DETECTION: ["pytorch", "object-detection", "bounding-boxes"],
    CLASSIFICATION: ["pytorch", "image-classification"],
}


def header(name: str, task: str, data: str, source: str, figures: Sequence[Figure]) -> dict[str, Any]:
    """Return the content of the header.

    Args:
        name: of the model.
        task: `DETECTION` or `CLASSIFICATION`.
        data: name of the data set in params.yaml.
        source: `sample`, `official` or `local`. Only models of the samples have the project's licence: the images of
            other sets have terms of their own.
        figures: of the card; at most one header entry each.
    """
    known = [(kind, row) for row in figures if (kind := _kind(row.measure))]
    licence: dict[str, Any] = {"license": "mit"}
    if source != "sample":
        licence = {"license": "other", "license_name": "terms-of-the-training-images"}
    metrics = [{"type": kind, "name": row.measure, "value": round(row.value, 4)} for kind, row in known]
    place = {"type": data, "name": f"{data}, {source}", "split": "test"}
    return {
        **licence,
        "library_name": "pytorch",
        "pipeline_tag": task,
        "tags": [*TAGS[task], name],
        "datasets": [f"{data}-{source}"],
        "metrics": list(dict.fromkeys(kind for kind, _ in known)),
        "model-index": [{"name": name, "results": [{"task": {"type": task}, "dataset": place, "metrics": metrics}]}],
    }


def _kind(measure: str) -> str | None:
    return next((kind for start, kind in TYPES.items() if measure == start or measure.startswith(f"{start} IoU")), None)
