"""Fit one box regression per class on the stored features (R-CNN App. C)."""

from pathlib import Path

import numpy as np

from src.files.boxed_images import BoxedImages
from src.files.storage import read_npz, write_json, write_npz
from src.params import Sections
from src.rcnn.bbox import TrainBbox, fit_all
from src.rcnn.features import Features, read_described
from src.splits import Splits
from stages.command import command


class Params(Sections):
    """The sections that this stage reads."""

    splits: Splits
    features: Features
    train_bbox: TrainBbox


def run(params: Params, *, images: Path, features: Path, regions: Path, scale: Path, out: Path, metrics: Path) -> None:
    """Write the regressions of all classes, and the errors that remain."""
    data = BoxedImages(images)
    train = data.ids(params.splits.train)
    vectors, records = read_described(features, regions, train)
    targets = {image_id: data.target(image_id) for image_id in train}
    factors = read_npz(scale)["scale"] * np.float32(params.features.norm)
    weights, biases, report = fit_all(vectors, factors, records, targets, data.classes, params.train_bbox)
    write_npz(out, {"weights": weights, "biases": biases, "scale": factors})
    write_json(metrics, report)


if __name__ == "__main__":
    command(run)
