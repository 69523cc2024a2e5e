"""Rounds of hard-negative mining (R-CNN Sec. 2.3, App. B; Felzenszwalb et al. 2010), for all classes in parallel.

Each round fits a plane to the positives and the held negatives, scores the whole pool, adds the negatives with a high
score, and drops those with a low one. A region is identified by its row in the features, that is by image *and* box:
the same rectangle in another image is another negative. The pool is scored in blocks, including the last partial one,
and may be larger than memory.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Literal

import numpy as np
from pydantic import model_validator

from src.boxes.matching import best_match, is_background, near_difficult, without_difficult
from src.boxes.target import Target
from src.errors import InputError
from src.files.records import Record
from src.parallel import parallel_map
from src.params import Count, Fraction, NonNegative, Positive, Section
from src.rcnn import solvers
from src.rcnn.planes import Plane, scores
from src.rcnn.solvers import Objective, Sgd, objective

Solver = Callable[[np.ndarray, np.ndarray], Plane]


class TrainSvm(Section):
    """The section `train_svm`: linear SVMs with hard-negative mining."""

    solver: Literal["liblinear", "sgd"]
    c: Positive
    bias_multiplier: Positive
    positive_weight: Positive
    neg_iou_thresh: Fraction
    neg_iou_zero: bool
    neg_min_area: NonNegative
    only_images_with_objects: bool
    first_negatives: Count
    rounds: Count
    hard_margin: float
    easy_margin: float
    max_new: Count | None
    sgd: Sgd

    @model_validator(mode="after")
    def _margins(self) -> "TrainSvm":
        if self.easy_margin > self.hard_margin:
            raise ValueError("easy_margin must not be above hard_margin, or a negative could be both hard and easy")
        return self


@dataclass
class Candidates:
    """Rows of the features that one class may learn from."""

    positives: np.ndarray  # rows of the class's ground-truth boxes
    pool: np.ndarray  # rows of all its negatives


@dataclass(frozen=True)
class Round:
    """The results of one class in one round; the fields are the columns of metrics/rounds.csv."""

    round: int
    label: int
    positives: int
    negatives: int  # held negatives in this round's fit
    newly_hard: int
    evicted: int
    pool_accuracy: float  # share of the pool that the plane puts on the negative side
    objective: Objective


def candidates(regions: Mapping[str, Record], targets: Mapping[str, Target], label: int, rules: TrainSvm) -> Candidates:
    """Find the rows that a class may learn from.

    The positives are only the ground-truth boxes of the class. The negatives are the regions whose IoU with all of them
    is below `neg_iou_thresh` (0.3 in the paper).

    Args:
        regions: records by image, in the order of the features' rows: `boxes` [N, 4] and `is_gt` [N], which may mark
            each ground-truth box twice, once for its mirrored region.
        targets: targets by image.
        label: the class, from 1.
        rules: the section `train_svm`. A region that covers a difficult object of the class is never a negative.
    """
    positives, pool = [], []
    start = 0
    for image_id, record in regions.items():
        boxes, target = record["boxes"], targets[image_id]
        of_class = {**target, **{name: target[name][target["labels"] == label] for name in ("boxes", "difficult")}}
        of_class["labels"] = target["labels"][target["labels"] == label]
        clear = without_difficult(target)
        gt_rows = np.flatnonzero(record["is_gt"])
        positives.append(start + gt_rows[np.resize(clear["labels"] == label, len(gt_rows))])
        if len(of_class["boxes"]) or not rules.only_images_with_objects:
            gt_boxes = without_difficult(of_class)["boxes"]
            best, _ = best_match(boxes, gt_boxes)
            negative = is_background(
                boxes,
                best,
                gt_boxes,
                iou_thresh=rules.neg_iou_thresh,
                iou_zero=rules.neg_iou_zero,
                min_area=rules.neg_min_area,
            )
            pool.append(start + np.flatnonzero(negative & ~near_difficult(boxes, of_class, rules.neg_iou_thresh)))
        start += len(boxes)
    return Candidates(np.concatenate([np.zeros(0, int), *positives]), np.concatenate([np.zeros(0, int), *pool]))


def mine(
    features: np.ndarray,
    scale: np.ndarray,
    classes: Sequence[Candidates],
    solver: Solver,
    rules: TrainSvm,
    *,
    seed: int,
    jobs: int = 1,
) -> Iterator[tuple[list[Plane], list[Round]]]:
    """Fit and mine in rounds.

    Args:
        features: [R, D], half precision, possibly a memory map.
        scale: [D], by which the features are multiplied.
        classes: candidates of class 1, 2, ...; each has at least one positive and one negative.
        solver: (positives [P, D], negatives [N, D]) -> plane.
        rules: the section `train_svm`.
        seed: seed of the choice of the first negatives.
        jobs: parallel processes, one class each. Not threads: liblinear's random generator is global to a process. A
            memory map is passed to the processes by its file name.

    Yields:
        After each round, the planes of all classes and a `Round` per class. There are `rules.rounds` rounds of mining,
        or fewer if a round finds nothing new, and then a last fit to all held negatives. The `newly_hard` of this fit
        counts the negatives that another round would have added.
    """
    rng = np.random.default_rng(seed)
    held = [np.sort(rng.permutation(class_rows.pool)[: rules.first_negatives]) for class_rows in classes]

    for number in range(1, rules.rounds + 2):
        rows = [(class_rows.positives, index) for class_rows, index in zip(classes, held, strict=True)]
        fits = parallel_map(partial(_fit, features, scale, solver, rules), rows, jobs, f"SVMs, round {number}")
        planes, objectives = zip(*fits, strict=True)
        pool_scores = scores(features, planes, scale)
        table = []
        for column, (class_rows, value) in enumerate(zip(classes, objectives, strict=True)):
            fitted = held[column]
            held[column], newly_hard, evicted = update(fitted, class_rows.pool, pool_scores[:, column], rules)
            accuracy = float((pool_scores[class_rows.pool, column] < 0).mean())
            counts = len(class_rows.positives), len(fitted), newly_hard, evicted
            table.append(Round(number, column + 1, *counts, accuracy, value))
        yield list(planes), table
        if not any(row.newly_hard for row in table):
            return


def _fit(
    features: np.ndarray, scale: np.ndarray, solver: Solver, rules: TrainSvm, rows: tuple[np.ndarray, np.ndarray]
) -> tuple[Plane, Objective]:
    x_pos, x_neg = (features[index].astype(np.float32) * scale for index in rows)
    plane = solver(x_pos, x_neg)
    return plane, objective(plane, x_pos, x_neg, c=rules.c, weight=rules.positive_weight)


def update(held: np.ndarray, pool: np.ndarray, row_scores: np.ndarray, rules: TrainSvm) -> tuple[np.ndarray, int, int]:
    """Drop the easy negatives from the held ones, and add the hard ones of the pool.

    Args:
        held: rows of the held negatives, sorted.
        pool: rows of all negatives.
        row_scores: [R], score of every row.
        rules: the section `train_svm`.

    Returns:
        (rows to hold next, number of new ones, number of dropped ones). Each row is held only once.
    """
    kept = held[row_scores[held] >= rules.easy_margin]
    hard = np.setdiff1d(pool[row_scores[pool] > rules.hard_margin], held)
    if rules.max_new is not None and len(hard) > rules.max_new:
        hard = hard[np.argsort(-row_scores[hard], kind="stable")[: rules.max_new]]
    if not len(kept) and not len(hard):  # the solver needs at least one negative
        kept = held[:1]
    return np.union1d(kept, hard), len(hard), len(held) - len(kept)


def solver_of(rules: TrainSvm, seed: int) -> Solver:
    """Return the solver that the section `train_svm` names, with its settings."""
    if rules.solver == "sgd":
        return partial(solvers.sgd, c=rules.c, weight=rules.positive_weight, schedule=rules.sgd, seed=seed)
    return partial(
        solvers.liblinear,
        c=rules.c,
        weight=rules.positive_weight,
        bias_multiplier=rules.bias_multiplier,
        seed=seed,
    )


def check_candidates(rows: Sequence[Candidates], classes: Sequence[str]) -> None:
    """Raise an `InputError` that names the first class without a positive or without a negative."""
    for name, class_rows in zip(classes, rows, strict=True):
        positives, negatives = len(class_rows.positives), len(class_rows.pool)
        if not positives or not negatives:
            raise InputError(
                f"class {name} has {positives} objects that are not difficult and {negatives} negative regions in the "
                "training split, and its SVM needs both: check splits.train, data.voc.limit and data.voc.classes "
                "in params.yaml"
            )
