"""Average precision of detections on the test split, and the precision-recall curves behind it."""

import math
from pathlib import Path

import pandas as pd

from src.evaluation.average_precision import coco_ap, mean_ap, precision_recall, thinned, voc07, voc12
from src.evaluation.bootstrap import draws, standard_errors
from src.evaluation.resampled_detections import COCO, VOC07, match, of_detections
from src.files.boxed_images import Samples
from src.files.storage import write_csv, write_json
from src.params import Sections
from src.splits import Splits
from stages.command import command


class Params(Sections):
    """What this stage reads of params.yaml."""

    splits: Splits


def run(params: Params, *, samples: Path, detections: Path, out: Path, curves: Path) -> None:
    """Write the metrics of `detections.npz` in a folder, one more mAP for each other file there, and the curves.

    The other files are variants of the same detector that its score is to be compared with, under their names.
    """
    data = Samples(samples)
    targets = {image_id: data.target(image_id) for image_id in data.ids(params.splits.test)}
    matched = match({path.stem: path for path in detections.glob("*.npz")}, targets, data.classes)
    curves_of = {
        name: {label: precision_recall(found)[0] for label, found in matched[name].items()}
        for name in matched
        if name != COCO
    }
    by_class = curves_of.pop(VOC07)
    ap = {name: voc07(curve) for name, curve in by_class.items()}
    metrics = {
        VOC07: mean_ap(ap.values()),
        "map_voc12": mean_ap(map(voc12, by_class.values())),
        COCO: mean_ap(coco_ap(matched[COCO]).values()),
        **{name: mean_ap(map(voc07, others.values())) for name, others in curves_of.items()},
    }
    counts = {
        "images": len(targets),
        "objects": sum(curve.objects for curve in by_class.values()),
        "classes": len(data.classes),
        "detections": sum(len(found.images) for found in matched[VOC07].values()),
    }
    errors = standard_errors(of_detections(matched, draws(len(targets))))
    write_json(out, {**_with_null(metrics), "standard_error": errors, "ap": _with_null(ap), **counts})
    points = {name: thinned(curve) for name, curve in by_class.items()}
    rows = [
        (name, *point) for name, curve in points.items() for point in zip(curve.recall, curve.precision, strict=True)
    ]
    write_csv(curves, pd.DataFrame(rows, columns=["class", "recall", "precision"]))
    print(", ".join(f"{name} {value:.3f}" for name, value in metrics.items()))


def _with_null(values: dict[str, float]) -> dict[str, float | None]:
    return {name: None if math.isnan(value) else value for name, value in values.items()}


if __name__ == "__main__":
    command(run)
