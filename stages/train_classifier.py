"""Train a classifier on a set of labelled images."""

from pathlib import Path
from typing import Any

import pandas as pd
from lightning_fabric import Fabric

from src import plugins
from src.classification.running import TRAIN, VALIDATION, start
from src.classification.training import train
from src.files.labelled_images import LabelledImages
from src.files.storage import write_csv, write_json
from src.files.weights import read_tensors, write_tensors
from src.networks import starting_weights
from src.params import Sections, Seed
from src.training.loop import kept_row
from src.training.settings import Train
from stages.checkpoint import checkpoint
from stages.command import command
from stages.environment import computed_by, device, workers


class Params(Sections):
    """What this stage reads of params.yaml; of `classifiers` the classifier's own section."""

    seed: Seed
    train: Train
    classifiers: dict[str, Any]


def run(params: Params, *, classifier: str, images: Path, weights: Path, out: Path, metrics: Path, curve: Path) -> None:
    """Write the network's weights, the figures of the epoch that is kept, and those of every epoch."""
    data, (module, section) = LabelledImages(images), plugins.section("classifiers", params.classifiers, classifier)
    settings: Train = section.train.over(params.train)
    fabric = Fabric(accelerator=device().partition(":")[0], devices=1, precision=settings.precision)
    tensors, facts = read_tensors(weights)
    model, fresh = start(
        lambda: module.build(len(data.classes), section.model),
        tensors,
        f"classifiers.{classifier}.weights",
        params.seed,
    )
    print(f"weights: {facts['source']}; {sum(value.numel() for value in model.parameters())} parameters")
    if tensors:
        print(f"start at random: {_listed(fresh)}; skipped: {_listed(starting_weights.skipped(model, tensors))}")
    trained = section.model_dump(exclude={"predict", "train"})
    computed = {"seed": params.seed, "train": settings.model_dump(), "classifier": trained}
    history = train(
        fabric,
        model,
        fresh,
        data,
        data.ids(TRAIN),
        data.ids(VALIDATION),
        section,
        settings,
        seed=params.seed,
        workers=workers(),
        checkpoint=checkpoint(classifier, computed, [images, weights]),
    )
    kept = kept_row(history, settings)
    write_tensors(
        out, model.state_dict(), {"classifier": classifier, "model": trained["model"], "classes": data.classes}
    )
    write_json(
        metrics,
        {**kept, "images": len(data.ids(TRAIN)), "val_images": len(data.ids(VALIDATION)), "arithmetic": computed_by()},
    )
    write_csv(curve, pd.DataFrame(history, columns=None if history else ["epoch", "loss", "val_accuracy"]))


def _listed(names: list[str]) -> str:
    return ", ".join(names) or "none"


if __name__ == "__main__":
    command(run)
