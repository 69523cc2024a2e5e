"""Train one linear SVM per class on the stored features, with rounds of hard-negative mining (R-CNN Sec. 2.3)."""

from pathlib import Path

import numpy as np

from src.files.boxed_images import BoxedImages
from src.files.storage import read_npz, write_csv, write_json, write_npz
from src.files.versions import KEY, installed
from src.params import Sections, Seed
from src.rcnn.features import Features, read_described
from src.rcnn.mining import Round, TrainSvm, candidates, check_candidates, mine, solver_of
from src.rcnn.planes import Plane
from src.splits import Splits
from stages.command import command
from stages.environment import jobs


class Params(Sections):
    """The sections that this stage reads."""

    seed: Seed
    splits: Splits
    features: Features
    train_svm: TrainSvm


def run(
    params: Params, *, images: Path, features: Path, regions: Path, scale: Path, out: Path, metrics: Path, rounds: Path
) -> None:
    """Write the planes of all classes, and the figures of each round of mining."""
    from src.rcnn.rounds import summary, table

    data, rules = BoxedImages(images), params.train_svm
    train = data.ids(params.splits.train)
    vectors, records = read_described(features, regions, train)
    targets = {image_id: data.target(image_id) for image_id in train}
    classes = [candidates(records, targets, label, rules) for label in range(1, data.num_classes)]
    check_candidates(classes, data.classes)
    factors = read_npz(scale)["scale"] * np.float32(params.features.norm)
    solver = solver_of(rules, params.seed)
    history: list[Round] = []
    planes: list[Plane] = []
    for fitted, rows in mine(vectors, factors, classes, solver, rules, seed=params.seed, jobs=jobs()):
        planes, history = fitted, history + rows
        print(f"round {rows[0].round}: {sum(row.newly_hard for row in rows)} newly hard negatives")
        if unfinished := sum(row.unfinished for row in rows):
            print(f"{unfinished} fits came to the limit of their sweeps before the best plane: lower train_svm.c")
    weights = np.stack([plane.weight for plane in planes])
    write_npz(out, {"weights": weights, "biases": np.array([p.bias for p in planes]), "scale": factors})
    write_csv(rounds, table(history, data.classes))
    write_json(metrics, {**summary(history, data.classes), KEY: installed()})


if __name__ == "__main__":
    command(run)
