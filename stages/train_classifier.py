"""Train a classifier on a set of labelled images."""

from pathlib import Path
from typing import Any

from src import plugins
from src.files.labelled_images import LabelledImages
from src.files.versions import made_by
from src.files.weights import read_tensors
from src.params import Sections, Seed
from src.training.settings import Train
from stages.command import command
from stages.environment import checkpoint, computed_by, workers
from stages.fabric import fabric


class Params(Sections):
    """The sections that this stage reads; of `classifiers` it uses only the classifier's own part."""

    seed: Seed
    train: Train
    classifiers: dict[str, Any]


def run(params: Params, *, classifier: str, images: Path, weights: Path, out: Path, metrics: Path, curve: Path) -> None:
    """Write the network's weights, the figures of the epoch that is kept, and those of every epoch."""
    from src.classification.running import TRAIN, VALIDATION, start
    from src.classification.training import train
    from src.networks import starting_weights
    from src.training.loop import Run
    from src.training.outputs import write_training

    data, (module, section) = LabelledImages(images), plugins.section("classifiers", params.classifiers, classifier)
    settings: Train = section.train.over(params.train)
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
    state = checkpoint(classifier, computed, [images, weights])
    training = Run(fabric(settings.precision), settings, params.seed, workers(), state)
    history = train(
        training,
        model,
        fresh,
        data,
        data.ids(TRAIN),
        data.ids(VALIDATION),
        section,
    )
    write_training(
        model,
        history,
        training,
        facts={"classifier": classifier, "model": trained["model"], "classes": data.classes},
        figures={
            "images": len(data.ids(TRAIN)),
            "val_images": len(data.ids(VALIDATION)),
            **made_by(computed_by()),
        },
        columns=["epoch", "loss", "val_accuracy"],
        out=out,
        metrics=metrics,
        curve=curve,
    )


def _listed(names: list[str]) -> str:
    return ", ".join(names) or "none"


if __name__ == "__main__":
    command(run, trains=True)
