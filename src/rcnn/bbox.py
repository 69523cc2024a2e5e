"""Box regression (R-CNN App. C): for each class, ridge regression from a region's features to the deltas of its object.

P pairs, D numbers a region.
"""

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
import torch

from src.boxes.geometry import encode
from src.boxes.matching import best_match, without_difficult
from src.boxes.target import Target
from src.files.records import Record
from src.params import Fraction, Positive, Section


class TrainBbox(Section):
    """Ridge regression of boxes."""

    iou_thresh: Fraction
    ridge_lambda: Positive


class Pairs(NamedTuple):
    """What one class's regression learns from."""

    rows: np.ndarray  # [P], rows of the features
    deltas: np.ndarray  # [P, 4]


def pairs(regions: Mapping[str, Record], targets: Mapping[str, Target], label: int, iou_thresh: float) -> Pairs:
    """Proposals whose IoU with an object of the class is above `iou_thresh`, each with the deltas to its nearest one.

    True boxes themselves are left out: they have nothing to learn. A mirrored region has to move the other way along x.
    P may be 0.
    """
    rows, deltas = [np.zeros(0, int)], [np.zeros((0, 4), np.float32)]
    start = 0
    for image_id, record in regions.items():
        boxes, clear = record["boxes"], without_difficult(targets[image_id])
        gt_boxes = clear["boxes"][clear["labels"] == label]
        best, matched = best_match(boxes, gt_boxes)
        near = np.flatnonzero((best > iou_thresh) & ~record["is_gt"])
        if len(near):
            rows.append(start + near)
            wanted = encode(torch.from_numpy(boxes[near]), torch.from_numpy(gt_boxes[matched[near]])).numpy()
            wanted[record["flipped"][near], 0] *= -1
            deltas.append(wanted)
        start += len(boxes)
    return Pairs(np.concatenate(rows), np.concatenate(deltas))


def ridge(x: np.ndarray, y: np.ndarray, penalty: float) -> tuple[np.ndarray, np.ndarray]:
    """Weights [D, T] and intercept [T] that minimise |y - x w - b|^2 + penalty |w|^2; the intercept is not held down.

    Solved in whichever space is smaller: with fewer pairs than features, through the P x P Gram matrix.

    Args:
        x: [P, D], P at least 1.
        y: [P, T].
    """
    x, y = x.astype(np.float64), y.astype(np.float64)
    x_mean, y_mean = x.mean(axis=0), y.mean(axis=0)
    x, y = x - x_mean, y - y_mean
    if len(x) < x.shape[1]:
        w = x.T @ np.linalg.solve(x @ x.T + penalty * np.eye(len(x)), y)
    else:
        w = np.linalg.solve(x.T @ x + penalty * np.eye(x.shape[1]), x.T @ y)
    return w, y_mean - x_mean @ w


def fit(x: np.ndarray, deltas: np.ndarray, penalty: float) -> tuple[np.ndarray, np.ndarray]:
    """One class's regression: weights [D, 4] and intercept [4]; zeros where there is no pair.

    Differs: rcnn's `rcnn_train_bbox_regressor.m` whitens the four targets first. Ridge with one penalty for all is
    linear in its targets, so that changes nothing but the rounding, and is left out.
    """
    if len(x) == 0:
        return np.zeros((x.shape[1], 4), np.float32), np.zeros(4, np.float32)
    w, b = ridge(x, deltas, penalty)
    return w.astype(np.float32), b.astype(np.float32)


def fit_all(
    features: np.ndarray,
    factors: np.ndarray,
    regions: Mapping[str, Record],
    targets: Mapping[str, Target],
    classes: Sequence[str],
    rules: TrainBbox,
) -> tuple[np.ndarray, np.ndarray, dict[str, dict[str, Any]]]:
    """Fit the regression of every class.

    Args:
        features: [R, D], half precision, maybe a memory map.
        factors: [D], of the features.
        regions: by image, in the order of the features' rows.
        targets: by image.
        classes: C names.
        rules: the section `train_bbox`.

    Returns:
        weights [C, D, 4], biases [C, 4], and per class the number of pairs, the mean square error that is left, and
        that of always answering the mean delta; None without pairs.
    """
    weights, biases, report = [], [], {}
    for label, name in enumerate(classes, start=1):
        rows, deltas = pairs(regions, targets, label, rules.iou_thresh)
        x = features[rows].astype(np.float32) * factors
        weight, bias = fit(x, deltas, rules.ridge_lambda)
        weights.append(weight)
        biases.append(bias)
        report[name] = {
            "pairs": len(rows),
            "train_error": _mean_square(deltas - (x @ weight + bias)),
            "train_error_mean_delta": _mean_square(deltas - deltas.mean(axis=0, keepdims=True)),
        }
    return np.stack(weights), np.stack(biases), report


def _mean_square(errors: np.ndarray) -> float | None:
    return float(np.square(errors).mean()) if len(errors) else None
