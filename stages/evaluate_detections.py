"""Measure the detections of the test split: average precision, and precision-recall curves."""

from pathlib import Path

from src.files.boxed_images import BoxedImages
from src.files.storage import write_csv, write_json
from src.params import Sections
from src.splits import Splits
from stages.cluster import pool
from stages.command import command


class Params(Sections):
    """The sections that this stage reads."""

    splits: Splits


def run(params: Params, *, images: Path, detections: Path, out: Path, curves: Path) -> None:
    """Write the metrics of the folder's `detections.npz`, one more mAP per other file there, and the curves.

    The other files are variants of the same detector, for comparison; their names are part of the metrics' names.
    """
    from src.evaluation.detector_metrics import measure

    data = BoxedImages(images)
    targets = {image_id: data.target(image_id) for image_id in data.ids(params.splits.test)}
    files = {path.stem: path for path in detections.glob("*.npz")}
    metrics, table = measure(files, targets, data.classes, pool())
    write_json(out, metrics)
    write_csv(curves, table)
    print(", ".join(f"{name} {value}" for name, value in metrics.items() if name.startswith("map_")))


if __name__ == "__main__":
    command(run)
