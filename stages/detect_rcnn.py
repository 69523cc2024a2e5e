"""Detect with R-CNN on the test images: scores of the SVMs, non-maximum suppression, box regression."""

from pathlib import Path

import numpy as np

from src.files.boxed_images import BoxedImages
from src.files.records import read_records, write_records
from src.files.storage import read_npz
from src.params import Sections, Seed
from src.rcnn.detect import DetectRcnn, detect_all
from src.splits import Splits
from stages.command import command


class Params(Sections):
    """The sections that this stage reads."""

    seed: Seed
    splits: Splits
    detect_rcnn: DetectRcnn


def run(params: Params, *, images: Path, features: Path, regions: Path, svm: Path, bbox: Path, out: Path) -> None:
    """Write `detections.npz` and two variants: without box regression, and a random ranking of the same proposals."""
    data, vectors = BoxedImages(images), np.load(features, mmap_mode="r")
    sizes = {image_id: data.size(image_id) for image_id in data.ids(params.splits.test)}
    variants = detect_all(
        vectors, read_records(regions), sizes, read_npz(svm), read_npz(bbox), params.detect_rcnn, params.seed
    )
    for name, records in variants.items():
        write_records(out / f"{name}.npz", records)
    kept = variants["detections"].values()
    print(f"{sum(len(record['boxes']) for record in kept)} detections in {len(kept)} images")


if __name__ == "__main__":
    command(run)
