"""Average precision of detections on the test split, and the precision-recall curves behind it."""

import math
from pathlib import Path

import pandas as pd

from src.average_precision import Detections, check_labels, coco_ap, mean_ap, thinned, voc07, voc12, voc_curves
from src.params import Sections, Splits
from src.records import read_records
from src.samples import Samples
from src.storage import write_csv, write_json
from stages.command import command

MAIN = "detections.npz"


class Params(Sections):
    """What this stage reads of params.yaml."""

    splits: Splits


def run(params: Params, *, samples: Path, detections: Path, out: Path, curves: Path) -> None:
    """Write the metrics of `detections.npz` in a folder, one more mAP for each other file there, and the curves.

    The other files are variants of the same detector that its score is to be compared with, under their names.
    """
    data = Samples(samples)
    targets = {image_id: data.target(image_id) for image_id in data.ids(params.splits.test)}
    found = _read(detections / MAIN, data, list(targets))
    by_class = voc_curves(found, targets, data.classes)
    ap = {name: voc07(curve) for name, curve in by_class.items()}
    metrics = {
        "map_voc07": mean_ap(ap.values()),
        "map_voc12": mean_ap(map(voc12, by_class.values())),
        "map_coco": mean_ap(coco_ap(found, targets, data.classes).values()),
    }
    for path in sorted(set(detections.glob("*.npz")) - {detections / MAIN}):
        others = voc_curves(_read(path, data, list(targets)), targets, data.classes)
        metrics[f"map_voc07_{path.stem}"] = mean_ap(map(voc07, others.values()))
    counts = {
        "images": len(targets),
        "objects": sum(curve.objects for curve in by_class.values()),
        "classes": len(data.classes),
        "detections": sum(len(record["scores"]) for record in found.values()),
    }
    write_json(out, {**_with_null(metrics), "ap": _with_null(ap), **counts})
    points = {name: thinned(curve) for name, curve in by_class.items()}
    rows = [
        (name, *point) for name, curve in points.items() for point in zip(curve.recall, curve.precision, strict=True)
    ]
    write_csv(curves, pd.DataFrame(rows, columns=["class", "recall", "precision"]))
    print(", ".join(f"{name} {value:.3f}" for name, value in metrics.items()))


def _read(path: Path, data: Samples, image_ids: list[str]) -> Detections:
    records = read_records(path, image_ids)
    check_labels(records, len(data.classes), str(path))
    return records


def _with_null(values: dict[str, float]) -> dict[str, float | None]:
    return {name: None if math.isnan(value) else value for name, value in values.items()}


if __name__ == "__main__":
    command(run)
