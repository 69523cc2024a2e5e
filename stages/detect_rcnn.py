"""Detect with R-CNN on the test images: scores of the SVMs, non-maximum suppression, box regression."""

from pathlib import Path

import numpy as np

from src.files.boxed_images import Samples
from src.files.records import Record, read_records, write_records
from src.files.storage import read_npz
from src.params import Sections, Seed
from src.rcnn.detect import DetectRcnn, corrections, detect
from src.rcnn.features import rows
from src.rcnn.mining import scores
from src.rcnn.solvers import Plane
from src.splits import Splits
from stages.command import command


class Params(Sections):
    """What this stage reads of params.yaml."""

    seed: Seed
    splits: Splits
    detect_rcnn: DetectRcnn


def run(
    params: Params,
    *,
    samples: Path,
    features: Path,
    regions: Path,
    svm: Path,
    bbox: Path,
    out: Path,
) -> None:
    """Write `detections.npz` and two variants: without box regression, and a random ranking of the same proposals."""
    data, settings = Samples(samples), params.detect_rcnn
    table, described = read_records(regions), np.load(features, mmap_mode="r")
    at = rows(table)
    learnt, regression = read_npz(svm), read_npz(bbox)
    planes = [Plane(weight, bias) for weight, bias in zip(learnt["weights"], learnt["biases"], strict=True)]
    rng = np.random.default_rng(params.seed)
    found: dict[str, dict[str, Record]] = {"detections": {}, "no_bbox": {}, "random": {}}
    for image_id in data.ids(params.splits.test):
        proposals = ~table[image_id]["is_gt"] & ~table[image_id]["flipped"]
        boxes, x = table[image_id]["boxes"][proposals], described[at[image_id]][proposals]
        image_scores = scores(x, planes, learnt["scale"])
        chance = rng.normal(size=image_scores.shape).astype(np.float32)
        size = data.size(image_id)
        deltas = corrections(x, regression)
        found["detections"][image_id] = detect(boxes, image_scores, settings, size=size, deltas=deltas)
        found["no_bbox"][image_id] = detect(boxes, image_scores, settings, size=size)
        found["random"][image_id] = detect(boxes, chance, settings, size=size)
    for name, detections in found.items():
        write_records(out / f"{name}.npz", detections)
    kept = found["detections"].values()
    print(f"{sum(len(record['boxes']) for record in kept)} detections in {len(kept)} images")


if __name__ == "__main__":
    command(run)
