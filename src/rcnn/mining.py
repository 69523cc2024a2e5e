"""Hard-negative mining (R-CNN Sec. 2.3, App. B; Felzenszwalb et al. 2010), for all classes at once, in bounded memory.

A pass reads the pool once, in blocks of `src.rcnn.planes.BLOCK` regions, as rcnn's `rcnn_train.m` reads it image by
image: one matrix product scores a block for all classes, and a class takes its negatives with a high score. After a
block in which a class has `retrain_every` new ones, it is fitted again, and its negatives with a low score leave. A
class holds at most `max_held` negatives, so the memory of a fit does not grow with the pool:

    4 bytes x (positives + max_held) x features of a region, per process

A fit starts from the duals of the one before it, and new negatives from 0. Beside the fits there are a block of
features and 4 bytes per class and region of the pool.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any, Literal

import numpy as np
from pydantic import model_validator

from src.boxes.matching import best_match, is_background, near_difficult, without_difficult
from src.boxes.target import Target
from src.errors import InputError
from src.files import room
from src.files.records import Record
from src.parallel import parallel_map
from src.params import Count, Fraction, NonNegative, Positive, Section
from src.rcnn import solvers
from src.rcnn.held import Held
from src.rcnn.planes import Plane, blocks, release, scores, take
from src.rcnn.solvers import Fit, Objective, Sgd, objective

Solver = Callable[[np.ndarray, np.ndarray, np.ndarray], Fit]  # rows [N, D], +1 or -1 [N], duals [N] to start from


class TrainSvm(Section):
    """The section `train_svm`: linear SVMs with hard-negative mining."""

    solver: Literal["dual_coordinate_descent", "sgd"]
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
    retrain_every: Count
    max_held: Count
    sgd: Sgd

    @model_validator(mode="after")
    def _margins(self) -> "TrainSvm":
        if self.easy_margin > self.hard_margin:
            raise ValueError("easy_margin must not be above hard_margin, or a negative could be both hard and easy")
        if self.first_negatives > self.max_held:
            raise ValueError("first_negatives must not be above max_held, the largest number of negatives of a fit")
        return self


@dataclass
class Candidates:
    """Rows of the features that one class may learn from."""

    positives: np.ndarray  # rows of the class's ground-truth boxes
    pool: np.ndarray  # rows of all its negatives


@dataclass(frozen=True)
class Round:
    """The results of one class in one pass over the pool; the fields are the columns of metrics/rounds.csv."""

    round: int
    label: int
    positives: int  # rows: an object that is described mirrored too counts twice
    negatives: int  # in the last fit
    newly_hard: int  # that were held; those that `max_held` left out at once are not counted
    evicted: int  # dropped because they became easy
    crowded_out: int  # dropped because `max_held` were harder
    fits: int
    unfinished: int  # fits that came to the limit of their sweeps
    pool_accuracy: float  # share of the pool that was on the negative side when the pass came to it
    objective: Objective  # of the last fit


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
    return Candidates(*(np.concatenate([np.zeros(0, int), *rows]).astype(np.int32) for rows in (positives, pool)))


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
    """Fit to random negatives, then pass over the pool and fit again to what is hard.

    Args:
        features: [R, D], half precision, possibly a memory map.
        scale: [D], by which the features are multiplied.
        classes: candidates of class 1, 2, ...; each has at least one positive and one negative.
        solver: the solver, with its settings, as from `solver_of`.
        rules: the section `train_svm`.
        seed: seed of the choice of the first negatives.
        jobs: parallel processes, one class each; the result does not depend on them, in no arithmetic, as each has one
            thread. A memory map is passed to the processes by its file name.

    Yields:
        After each pass, the planes of all classes, fitted to all that the pass left, and a `Round` per class. There are
        `rules.rounds` passes, or fewer if one changes no held negative.
    """
    _check_room(features.shape[1], classes, rules, jobs)
    rng = np.random.default_rng(seed)
    held = [Held(np.sort(rng.permutation(class_rows.pool)[: rules.first_negatives])) for class_rows in classes]
    every = range(len(classes))
    positive_duals = [np.zeros(len(class_rows.positives)) for class_rows in classes]
    fits: dict[int, tuple[Plane, Objective]] = {}

    def fit(due: Sequence[int], place: str) -> None:
        problems = [
            (classes[column].positives, held[column].rows, np.r_[positive_duals[column], held[column].duals])
            for column in due
        ]
        made = parallel_map(partial(_fit, features, scale, solver), problems, jobs, f"SVMs, {place}")
        for column, found in zip(due, made, strict=True):
            count = len(positive_duals[column])
            scores = found.scores[:count], found.scores[count:]
            value = objective(found.plane.weight, *scores, c=rules.c, weight=rules.positive_weight)
            fits[column] = found.plane, value
            positive_duals[column] = found.duals[:count]
            held[column].fit_done(scores[1], found.duals[count:], rules.easy_margin, finished=found.finished)

    fit(every, "first fit")
    for number in range(1, rules.rounds + 1):
        right = np.zeros(len(classes))
        for block in blocks(len(features)):
            block_scores = scores(features[block], [fits[column][0] for column in every], scale)
            release(features)
            right += _take(block, block_scores, classes, held, rules)
            if due := [column for column in every if held[column].waiting >= rules.retrain_every]:
                fit(due, f"pass {number}, {block.stop / len(features):.0%} of the regions")
        if due := [column for column in every if held[column].waiting]:
            fit(due, f"end of pass {number}")
        table = [
            _round(number, column, classes[column], held[column], float(right[column]), fits[column][1])
            for column in every
        ]
        yield [fits[column][0] for column in every], table
        if not any(row.newly_hard for row in table):
            return
        for one in held:
            one.start_pass()


def _check_room(width: int, classes: Sequence[Candidates], rules: TrainSvm, jobs: int) -> None:
    """Raise an `InputError` if the fits that run at once could need more memory than is free."""
    most = max(len(rows.positives) + min(len(rows.pool), rules.max_held) for rows in classes)
    at_once = min(jobs, len(classes))
    purpose = f"{at_once} SVMs at once, each with at most {most} regions of {width} numbers,"
    room.memory(at_once * most * width * 4, purpose, "set JOBS to a smaller number, or lower train_svm.max_held")


def _take(
    block: slice, block_scores: np.ndarray, classes: Sequence[Candidates], held: Sequence[Held], rules: TrainSvm
) -> np.ndarray:
    """Let each class take its hard negatives of a block; return the counts [C] of negatives on the right side."""
    right = np.zeros(len(classes))
    for column, (class_rows, one) in enumerate(zip(classes, held, strict=True)):
        rows = class_rows.pool[slice(*np.searchsorted(class_rows.pool, [block.start, block.stop]))]
        row_scores = block_scores[rows - block.start, column]
        hard = row_scores > rules.hard_margin
        one.add(rows[hard], row_scores[hard], rules.max_held)
        right[column] = (row_scores < 0).sum()
    return right


def _round(number: int, column: int, rows: Candidates, held: Held, right: float, value: Objective) -> Round:
    counts = held.fitted, held.newly_hard, held.evicted, held.crowded_out, held.fits, held.unfinished
    return Round(number, column + 1, len(rows.positives), *counts, right / len(rows.pool), value)


def _fit(
    features: np.ndarray, scale: np.ndarray, solver: Solver, problem: tuple[np.ndarray, np.ndarray, np.ndarray]
) -> Fit:
    """Fit a plane to the rows of positives and of negatives, from the duals of both."""
    positives, negatives, duals = problem
    x = take(features, np.r_[positives, negatives], scale)
    y = np.repeat(np.array([1, -1], np.float32), [len(positives), len(negatives)])
    return solver(x, y, duals)


def solver_of(rules: TrainSvm, seed: int) -> Solver:
    """Return the solver that the section `train_svm` names, with its settings."""
    if rules.solver == "sgd":
        return partial(_walk, c=rules.c, weight=rules.positive_weight, schedule=rules.sgd, seed=seed)
    from src.rcnn import coordinate_descent  # imported here: it imports Numba, which takes 0.3 s

    return partial(
        coordinate_descent.fit,
        c=rules.c,
        weight=rules.positive_weight,
        bias_multiplier=rules.bias_multiplier,
        seed=seed,
    )


def _walk(x: np.ndarray, y: np.ndarray, duals: np.ndarray, **settings: Any) -> Fit:
    """Fit a plane with `sgd`, which has no duals."""
    plane = solvers.sgd(x, y, **settings)
    # Not a BLAS product: it may add the numbers of a row in another order if there are more rows.
    return Fit(plane, np.einsum("nd,d->n", x, plane.weight) + np.float32(plane.bias), duals, True)


def check_candidates(rows: Sequence[Candidates], classes: Sequence[str]) -> None:
    """Raise an `InputError` that names the first class without a positive or without a negative.

    The positives that it counts are regions: an object that is described mirrored too is two.
    """
    for name, class_rows in zip(classes, rows, strict=True):
        positives, negatives = len(class_rows.positives), len(class_rows.pool)
        if not positives or not negatives:
            raise InputError(
                f"class {name} has {positives} regions of objects that are not difficult (mirrored ones count too) and "
                f"{negatives} negative regions in the training split, and its SVM needs both: check splits.train, "
                "data.voc.limit and data.voc.classes in params.yaml"
            )
