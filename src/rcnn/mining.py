"""Rounds of hard-negative mining (R-CNN Sec. 2.3, App. B; Felzenszwalb et al. 2010), all classes side by side.

Each round fits a plane to the positives and the negatives that are held, scores the whole pool, adds what comes too
close to the positive side, and drops what lies far on its own. A region is known by its row among the features, that
is by image *and* box: the same rectangle in another image is another negative. The pool is scored in blocks, to its
last row, and may be larger than memory.
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
    """Linear SVMs with hard-negative mining."""

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
            raise ValueError("easy_margin must not be above hard_margin, or a negative is hard and easy at once")
        return self


@dataclass
class Candidates:
    """Rows of the features that one class may learn from."""

    positives: np.ndarray  # rows of the class's true boxes
    pool: np.ndarray  # rows of all its negatives


@dataclass(frozen=True)
class Round:
    """What one class did in one round; the fields are the columns of metrics/rounds.csv."""

    round: int
    label: int
    positives: int
    negatives: int  # held, in this round's fit
    newly_hard: int
    evicted: int
    pool_accuracy: float  # share of the pool that the plane puts on the negative side
    objective: Objective


def candidates(regions: Mapping[str, Record], targets: Mapping[str, Target], label: int, rules: TrainSvm) -> Candidates:
    """Positives are the true boxes of the class alone, negatives the regions with IoU < 0.3 with all of them.

    Args:
        regions: by image, in the order of the features' rows: `boxes` [N, 4], `is_gt` [N], of which there may be twice
            as many as true boxes, for these come again where they are mirrored.
        targets: by image.
        label: the class, from 1.
        rules: which negatives count; regions upon difficult objects of the class never do.
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
    """Rounds of fitting and mining.

    Args:
        features: [R, D], half precision, maybe a memory map.
        scale: factors [D] of the features.
        classes: candidates of class 1, 2, ...; each with a positive and a negative.
        solver: (positives [P, D], negatives [N, D]) -> plane.
        jobs: processes that fit side by side, a class each. Not threads: liblinear has one random generator a process,
            for whose numbers threads race. A memory map is handed to them by its file's name.

    Yields:
        After each round the planes of all classes and a row for each. `rules.rounds` rounds of mining, fewer if one
        finds nothing, and a last fit to what is held then, whose `newly_hard` is what another round would have added.
    """
    rng = np.random.default_rng(seed)
    held = [np.sort(rng.permutation(kind.pool)[: rules.first_negatives]) for kind in classes]

    for number in range(1, rules.rounds + 2):
        rows = [(kind.positives, index) for kind, index in zip(classes, held, strict=True)]
        fits = parallel_map(partial(_fit, features, scale, solver, rules), rows, jobs, f"SVMs, round {number}")
        planes, objectives = zip(*fits, strict=True)
        pool_scores = scores(features, planes, scale)
        table = []
        for column, (kind, value) in enumerate(zip(classes, objectives, strict=True)):
            now = held[column]
            held[column], newly_hard, evicted = update(now, kind.pool, pool_scores[:, column], rules)
            accuracy = float((pool_scores[kind.pool, column] < 0).mean())
            table.append(Round(number, column + 1, len(kind.positives), len(now), newly_hard, evicted, accuracy, value))
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
    """The negatives to hold next: without the easy ones, with the hard ones of the pool.

    Args:
        held: rows, sorted.
        pool: rows of all negatives.
        row_scores: [R], score of every row.

    Returns:
        (rows, how many are new, how many were dropped). A row is held once, however often it is hard.
    """
    kept = held[row_scores[held] >= rules.easy_margin]
    hard = np.setdiff1d(pool[row_scores[pool] > rules.hard_margin], held)
    if rules.max_new is not None and len(hard) > rules.max_new:
        hard = hard[np.argsort(-row_scores[hard], kind="stable")[: rules.max_new]]
    if not len(kept) and not len(hard):  # a plane needs something on its other side
        kept = held[:1]
    return np.union1d(kept, hard), len(hard), len(held) - len(kept)


def solver_of(rules: TrainSvm, seed: int) -> Solver:
    """Return the solver that the section `train_svm` names, with its numbers."""
    if rules.solver == "sgd":
        return partial(solvers.sgd, c=rules.c, weight=rules.positive_weight, schedule=rules.sgd, seed=seed)
    return partial(
        solvers.liblinear,
        c=rules.c,
        weight=rules.positive_weight,
        bias_multiplier=rules.bias_multiplier,
        seed=seed,
    )


def check_candidates(found: Sequence[Candidates], classes: Sequence[str]) -> None:
    """`InputError` that names the first class without a positive or without a negative."""
    for name, kind in zip(classes, found, strict=True):
        if not len(kind.positives) or not len(kind.pool):
            raise InputError(
                f"class {name} has {len(kind.positives)} objects that are not difficult and {len(kind.pool)} negative "
                "regions in the training split, and its SVM needs both: check splits.train, data.voc.limit and "
                "data.voc.classes in params.yaml"
            )
