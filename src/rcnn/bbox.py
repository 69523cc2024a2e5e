"""Box regression (R-CNN App. C): for each class, ridge regression from a region's features to the deltas of its object.

P is the number of pairs, D the number of features of a region.
"""

from collections.abc import Mapping, Sequence
from typing import Annotated, Any, NamedTuple

import numpy as np
from pydantic import BeforeValidator, Field

from src.boxes.matching import best_match, without_difficult
from src.boxes.target import Target
from src.files import room
from src.files.records import Record
from src.params import Fraction, Positive, Section
from src.rcnn.penalty import FOLDS, held_out_errors
from src.rcnn.products import products, read_blocks, solutions


def _listed(value: object) -> object:
    return value if isinstance(value, list) else [value]


class TrainBbox(Section):
    """The section `train_bbox`: ridge regression of boxes."""

    iou_thresh: Fraction
    ridge_lambda: Annotated[list[Positive], BeforeValidator(_listed), Field(min_length=1)]


class Pairs(NamedTuple):
    """The training pairs of one class."""

    rows: np.ndarray  # [P], rows of the features
    deltas: np.ndarray  # [P, 4]
    images: np.ndarray  # [P], number of the image, from 0


def pairs(regions: Mapping[str, Record], targets: Mapping[str, Target], label: int, iou_thresh: float) -> Pairs:
    """Pair each proposal near an object of the class with the deltas to the object that it overlaps most.

    A proposal is near if its IoU with an object is above `iou_thresh`. Ground-truth boxes are left out: their deltas
    are 0. The x delta of a mirrored region is negated. P may be 0.
    """
    import torch  # here, not above: the stage prints its help and reads its parameters without it

    from src.boxes.geometry import encode

    rows, deltas, images = [np.zeros(0, int)], [np.zeros((0, 4), np.float32)], [np.zeros(0, int)]
    start = 0
    for number, (image_id, record) in enumerate(regions.items()):
        boxes, clear = record["boxes"], without_difficult(targets[image_id])
        gt_boxes = clear["boxes"][clear["labels"] == label]
        best, matched = best_match(boxes, gt_boxes)
        near = np.flatnonzero((best > iou_thresh) & ~record["is_gt"])
        if len(near):
            rows.append(start + near)
            wanted = encode(torch.from_numpy(boxes[near]), torch.from_numpy(gt_boxes[matched[near]])).numpy()
            wanted[record["flipped"][near], 0] *= -1
            deltas.append(wanted)
            images.append(np.full(len(near), number))
        start += len(boxes)
    return Pairs(np.concatenate(rows), np.concatenate(deltas), np.concatenate(images))


def choose(
    features: np.ndarray, factors: np.ndarray, classes: Sequence[Pairs], penalties: Sequence[float]
) -> tuple[float, list[float] | None]:
    """Choose one penalty for all classes and deltas: that with the smallest error on held-out images.

    Args:
        features: [R, D].
        factors: [D], by which the features are multiplied.
        classes: the pairs of each class.
        penalties: penalties to choose from. A single one is taken as it is.

    Returns:
        the penalty, and the mean square error of each penalty over all pairs of the classes that have pairs in two
        images or more. If no class has, the largest penalty is taken and there are no errors.
    """
    if len(penalties) == 1:
        return penalties[0], None
    total, count = np.zeros(len(penalties)), 0
    for found in classes:
        errors = held_out_errors(features, factors, *found, penalties)
        if errors is not None:
            total, count = total + errors, count + found.deltas.size
    if not count:
        return max(penalties), None
    return penalties[int(total.argmin())], (total / count).tolist()


def ridge(x: np.ndarray, y: np.ndarray, penalty: float) -> tuple[np.ndarray, np.ndarray]:
    """Compute the weights w [D, T] and the intercept b [T] that minimise |y - x w - b|^2 + penalty |w|^2.

    The intercept has no penalty. It solves a system of P equations, so it is for fewer pairs than features.

    Args:
        x: [P, D], P at least 1.
        y: [P, T].
    """
    x, y = x.astype(np.float64), y.astype(np.float64)
    x_mean, y_mean = x.mean(axis=0), y.mean(axis=0)
    x, y = x - x_mean, y - y_mean
    w = x.T @ np.linalg.solve(x @ x.T + penalty * np.eye(len(x)), y)
    return w, y_mean - x_mean @ w


def fit(features: np.ndarray, factors: np.ndarray, found: Pairs, penalty: float) -> tuple[np.ndarray, np.ndarray]:
    """Fit the regression of one class: weights [D, 4] and intercept [4], all 0 without pairs.

    The memory is at most that of five matrices [D, D] in double precision and a block of pairs, for any number of
    pairs.

    Differs: rcnn's `rcnn_train_bbox_regressor.m` whitens the four targets first. Ridge regression with one penalty is
    linear in its targets, so whitening would change only the rounding, and is left out.

    Args:
        features: [R, D], possibly a memory map.
        factors: [D], by which the features are multiplied.
        found: the pairs of the class.
        penalty: lambda.
    """
    width = features.shape[1]
    if not len(found.rows):
        return np.zeros((width, 4), np.float32), np.zeros(4, np.float32)
    blocks = read_blocks(features, factors, found.rows, found.deltas)
    if len(found.rows) < width:
        w, b = ridge(np.concatenate([x for x, _ in blocks]), found.deltas, penalty)
    else:
        w, b = next(solutions(products(blocks), width, [penalty]))
    return w.astype(np.float32), b.astype(np.float32)


def fit_all(
    features: np.ndarray,
    factors: np.ndarray,
    regions: Mapping[str, Record],
    targets: Mapping[str, Target],
    classes: Sequence[str],
    rules: TrainBbox,
) -> tuple[np.ndarray, np.ndarray, dict[str, Any]]:
    """Fit the regression of every class, one after the other.

    The pairs are read in blocks, so the memory does not grow with them: `held_out_errors` and `fit` name its bounds.

    Args:
        features: [R, D], half precision, possibly a memory map.
        factors: [D], by which the features are multiplied.
        regions: records by image, in the order of the features' rows.
        targets: targets by image.
        classes: C names.
        rules: the section `train_bbox`.

    Returns:
        weights [C, D, 4], biases [C, 4], and a report for the metrics: the number of pairs, the penalty, the error on
        held-out images by penalty (None without a choice), and for each class the number of pairs, the mean square
        error of the fit, and that of the mean delta as a constant answer. Both errors are None without pairs.
    """
    every = [pairs(regions, targets, label, rules.iou_thresh) for label in range(1, len(classes) + 1)]
    width, most = features.shape[1], max((len(found.rows) for found in every), default=0)
    matrices = 5 + (FOLDS if len(rules.ridge_lambda) > 1 else 0)
    room.memory(
        matrices * width * min(width, most) * 8,
        f"{matrices} matrices for the box regression of {width} numbers per region",
        "set features.layer to fc7, or train_bbox.ridge_lambda to one value",
    )
    penalty, chosen_by = choose(features, factors, every, rules.ridge_lambda)
    weights, biases, report = [], [], {}
    for name, found in zip(classes, every, strict=True):
        rows, deltas, _ = found
        weight, bias = fit(features, factors, found, penalty)
        weights.append(weight)
        biases.append(bias)
        left = [y - (x @ weight + bias) for x, y in read_blocks(features, factors, rows, deltas)]
        left_by = {"train_error": left, "train_error_mean_delta": [deltas - deltas.sum(axis=0) / max(len(rows), 1)]}
        errors = {
            key: float(np.square(np.concatenate(of)).mean()) if len(rows) else None for key, of in left_by.items()
        }
        report[name] = {"pairs": len(rows), **errors}
    return (
        np.stack(weights),
        np.stack(biases),
        {
            "pairs": sum(row["pairs"] for row in report.values()),
            "ridge_lambda": penalty,
            "held_out_error": chosen_by
            and {f"{key:g}": e for key, e in zip(rules.ridge_lambda, chosen_by, strict=True)},
            "classes": report,
        },
    )
