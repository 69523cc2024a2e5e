"""Train a linear SVM a class on the stored features, with rounds of hard-negative mining (R-CNN Sec. 2.3)."""

from functools import partial
from pathlib import Path

import numpy as np
import pandas as pd

from src.errors import InputError
from src.files.boxed_images import Samples
from src.files.storage import read_npz, write_csv, write_json, write_npz
from src.params import Sections, Seed
from src.rcnn import solvers
from src.rcnn.features import Features, read_first
from src.rcnn.mining import Candidates, Round, Solver, TrainSvm, candidates, mine
from src.splits import Splits
from stages.command import command
from stages.environment import jobs


class Params(Sections):
    """What this stage reads of params.yaml."""

    seed: Seed
    splits: Splits
    features: Features
    train_svm: TrainSvm


def run(
    params: Params, *, samples: Path, features: Path, regions: Path, scale: Path, out: Path, metrics: Path, rounds: Path
) -> None:
    """Write the planes of all classes, and what each round of mining did."""
    data, rules = Samples(samples), params.train_svm
    train = data.ids(params.splits.train)
    described, seen = read_first(features, regions, train)
    targets = {image_id: data.target(image_id) for image_id in train}
    classes = [candidates(seen, targets, label, rules) for label in range(1, data.num_classes)]
    _check(classes, data)
    factors = read_npz(scale)["scale"] * np.float32(params.features.norm)
    history: list[Round] = []
    planes: list[solvers.Plane] = []
    for fitted, found in mine(described, factors, classes, _solver(params), rules, seed=params.seed, jobs=jobs()):
        planes, history = fitted, history + found
        print(f"round {found[0].round}: {sum(row.newly_hard for row in found)} newly hard negatives")
    weights = np.stack([plane.weight for plane in planes])
    write_npz(out, {"weights": weights, "biases": np.array([p.bias for p in planes]), "scale": factors})
    write_csv(rounds, _table(history, data.classes))
    write_json(metrics, _summary(history, data.classes))


def _check(classes: list[Candidates], data: Samples) -> None:
    for name, kind in zip(data.classes, classes, strict=True):
        if not len(kind.positives) or not len(kind.pool):
            raise InputError(
                f"class {name} has {len(kind.positives)} objects that are not difficult and {len(kind.pool)} negative "
                "regions in the training split, and its SVM needs both: check splits.train, data.voc.limit and "
                "data.voc.classes in params.yaml"
            )


def _solver(params: Params) -> Solver:
    rules = params.train_svm
    if rules.solver == "sgd":
        return partial(solvers.sgd, c=rules.c, weight=rules.positive_weight, schedule=rules.sgd, seed=params.seed)
    return partial(
        solvers.liblinear,
        c=rules.c,
        weight=rules.positive_weight,
        bias_multiplier=rules.bias_multiplier,
        seed=params.seed,
    )


def _table(history: list[Round], classes: list[str]) -> pd.DataFrame:
    rows = [
        {
            **{"round": row.round, "class": classes[row.label - 1], "positives": row.positives},
            **{"negatives": row.negatives, "newly_hard": row.newly_hard, "evicted": row.evicted},
            **{"pool_accuracy": row.pool_accuracy, "objective": row.objective.total},
            **{f"objective_{name}": value for name, value in row.objective._asdict().items()},
        }
        for row in history
    ]
    return pd.DataFrame(rows)


def _summary(history: list[Round], classes: list[str]) -> dict[str, object]:
    newly_hard = {number: 0 for number in dict.fromkeys(row.round for row in history)}
    for row in history:
        newly_hard[row.round] += row.newly_hard
    last = [row for row in history if row.round == history[-1].round]
    return {
        "rounds": len(newly_hard),
        "newly_hard": {f"round_{number}": count for number, count in newly_hard.items()},
        "negatives": {classes[row.label - 1]: row.negatives for row in last},
        "pool_accuracy": {classes[row.label - 1]: row.pool_accuracy for row in last},
        "objective": sum(row.objective.total for row in last),
    }


if __name__ == "__main__":
    command(run)
