"""Box regression (R-CNN App. C): for each class, ridge regression from a region's features to the deltas of its object.

P is the number of pairs, D the number of features of a region.
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
    """The section `train_bbox`: ridge regression of boxes."""

    iou_thresh: Fraction
    ridge_lambda: Positive


class Pairs(NamedTuple):
    """The training pairs of one class."""

    rows: np.ndarray  # [P], rows of the features
    deltas: np.ndarray  # [P, 4]


def pairs(regions: Mapping[str, Record], targets: Mapping[str, Target], label: int, iou_thresh: float) -> Pairs:
    """Pair each proposal near an object of the class with the deltas to the object that it overlaps most.

    A proposal is near if its IoU with an object is above `iou_thresh`. Ground-truth boxes are left out: their deltas
    are 0. The x delta of a mirrored region is negated. P may be 0.
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
    """Compute the weights w [D, T] and the intercept b [T] that minimise |y - x w - b|^2 + penalty |w|^2.

    The intercept has no penalty. The smaller space is used: with fewer pairs than features, the P x P Gram matrix.

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
    """Fit the regression of one class: weights [D, 4] and intercept [4], all 0 without pairs.

    Differs: rcnn's `rcnn_train_bbox_regressor.m` whitens the four targets first. Ridge regression with one penalty is
    linear in its targets, so whitening would change only the rounding, and is left out.
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
        features: [R, D], half precision, possibly a memory map.
        factors: [D], by which the features are multiplied.
        regions: records by image, in the order of the features' rows.
        targets: targets by image.
        classes: C names.
        rules: the section `train_bbox`.

    Returns:
        weights [C, D, 4], biases [C, 4], and a report per class: the number of pairs, the mean square error of the fit,
        and that of the mean delta as a constant answer. Both errors are None without pairs.
    """
    weights, biases, report = [], [], {}
    for label, name in enumerate(classes, start=1):
        rows, deltas = pairs(regions, targets, label, rules.iou_thresh)
        x = features[rows].astype(np.float32) * factors
        weight, bias = fit(x, deltas, rules.ridge_lambda)
        weights.append(weight)
        biases.append(bias)
        left = {"train_error": x @ weight + bias, "train_error_mean_delta": deltas.sum(axis=0) / max(len(rows), 1)}
        errors = {key: float(np.square(deltas - answer).mean()) if len(rows) else None for key, answer in left.items()}
        report[name] = {"pairs": len(rows), **errors}
    return np.stack(weights), np.stack(biases), report
