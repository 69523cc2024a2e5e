"""Fit a box regression a class on the stored features (R-CNN App. C)."""

from pathlib import Path

import numpy as np

from src.files.boxed_images import Samples
from src.files.storage import read_npz, write_json, write_npz
from src.params import Sections
from src.rcnn.bbox import TrainBbox, fit, pairs
from src.rcnn.features import Features, read_first
from src.splits import Splits
from stages.command import command


class Params(Sections):
    """What this stage reads of params.yaml."""

    splits: Splits
    features: Features
    train_bbox: TrainBbox


def run(params: Params, *, samples: Path, features: Path, regions: Path, scale: Path, out: Path, metrics: Path) -> None:
    """Write the regressions of all classes, and the error they leave beside that of the mean delta of the class."""
    data, rules = Samples(samples), params.train_bbox
    train = data.ids(params.splits.train)
    described, seen = read_first(features, regions, train)
    targets = {image_id: data.target(image_id) for image_id in train}
    factors = read_npz(scale)["scale"] * np.float32(params.features.norm)
    weights, biases, report = [], [], {}
    for label, name in enumerate(data.classes, start=1):
        rows, deltas = pairs(seen, targets, label, rules.iou_thresh)
        x = described[rows].astype(np.float32) * factors
        weight, bias = fit(x, deltas, rules.ridge_lambda)
        weights.append(weight)
        biases.append(bias)
        report[name] = {
            "pairs": len(rows),
            "train_error": _mean_square(deltas - (x @ weight + bias)),
            "train_error_mean_delta": _mean_square(deltas - deltas.mean(axis=0, keepdims=True)),
        }
    write_npz(out, {"weights": np.stack(weights), "biases": np.stack(biases), "scale": factors})
    write_json(metrics, {"pairs": sum(row["pairs"] for row in report.values()), "classes": report})


def _mean_square(errors: np.ndarray) -> float | None:
    return float(np.square(errors).mean()) if len(errors) else None


if __name__ == "__main__":
    command(run)
