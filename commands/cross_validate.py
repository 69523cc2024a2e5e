"""Cross-validate a classifier with stratified folds, to see how much its figures depend on the images held out.

This is not a stage of the pipeline, because it trains once per fold and nothing depends on its figures:

python -m commands.cross_validate --classifier mobilenet_v3 --images data/prepared/mnist.zip \
    --weights models/pretrained/mobilenet_v3.safetensors --out mobilenet_v3_folds.json
"""

from pathlib import Path
from typing import Any

import numpy as np

from src import plugins
from src.errors import InputError
from src.evaluation.classification import figures
from src.files.labelled_images import LabelledImages
from src.files.storage import write_json
from src.files.weights import read_tensors
from src.params import Sections, Seed
from src.training.settings import Train
from stages.command import command
from stages.environment import workers
from stages.fabric import fabric


class Params(Sections):
    """The sections that this command reads; of `classifiers` it uses only the classifier's own part."""

    seed: Seed
    train: Train
    classifiers: dict[str, Any]


def run(params: Params, *, classifier: str, images: Path, weights: Path, out: Path, folds: int = 5) -> None:
    """Write the figures of each fold, their mean and their standard deviation.

    The folds divide the training and validation images together; the test images are not used. Each fold is held out
    once. Its figures are those of the last epoch, because an epoch chosen by the fold's images would look too good.
    """
    from src.classification.batches import LabelledBatches
    from src.classification.running import BATCH_SIZE, TRAIN, VALIDATION, predict, start
    from src.classification.training import train
    from src.training.loop import LAST, Run

    data, (module, section) = LabelledImages(images), plugins.section("classifiers", params.classifiers, classifier)
    settings = section.train.over(params.train).model_copy(update={"best_by": LAST, "patience": None})
    training = Run(fabric(settings.precision), settings, params.seed, workers())
    ids = np.array(data.ids(TRAIN, VALIDATION))
    results = []
    for number, (kept, held_out) in enumerate(split(data, ids, folds, params.seed), start=1):
        model, fresh = start(
            lambda: module.build(len(data.classes), section.model),
            read_tensors(weights)[0],
            f"classifiers.{classifier}.weights",
            params.seed,
        )
        train(training, model, fresh, data, ids[kept].tolist(), [], section)
        batches = LabelledBatches(data, ids[held_out].tolist(), section.input, batch_size=BATCH_SIZE)
        model = model.to(training.fabric.device).eval()
        results.append(figures(*predict(model, training.loader(batches), flip=section.predict.flip)))
        print(f"fold {number} of {folds}: accuracy {results[-1]['accuracy']:.3f}")
    summary = {name: [fold[name] for fold in results] for name in results[0]}
    mean = {name: float(np.mean(values)) for name, values in summary.items()}
    deviation = {name: float(np.std(values, ddof=1)) for name, values in summary.items()}
    write_json(out, {"folds": folds, "images": len(ids), "mean": mean, "deviation": deviation, "each": results})


def split(data: LabelledImages, ids: np.ndarray, folds: int, seed: int) -> list[tuple[np.ndarray, np.ndarray]]:
    """Return, per fold, the positions in `ids` to train on and to hold out; the folds share each class evenly."""
    from sklearn.model_selection import StratifiedKFold

    labels = [data.label(image_id) for image_id in ids]
    smallest = int(np.unique(labels, return_counts=True)[1].min(initial=len(ids)))
    if not 2 <= folds <= smallest:
        raise InputError(f"--folds {folds}: it must be between 2 and {smallest}, the size of the smallest class")
    return list(StratifiedKFold(folds, shuffle=True, random_state=seed).split(ids, labels))


if __name__ == "__main__":
    command(run)
