"""Measure a trained classifier on the test split: figures, confusions, and its prediction for each image."""

from pathlib import Path
from typing import Any

from src import plugins
from src.files.labelled_images import LabelledImages
from src.files.storage import write_csv, write_json
from src.files.weights import read_tensors
from src.params import Sections
from stages.command import command
from stages.environment import device, workers


class Params(Sections):
    """The sections that this stage reads; of `classifiers` it uses only the classifier's own part."""

    classifiers: dict[str, Any]


def run(
    params: Params, *, classifier: str, images: Path, model: Path, out: Path, confusion: Path, predictions: Path
) -> None:
    """Write the figures, with the baseline of always predicting the most frequent class, and the two tables."""
    import torch

    from src.classification.running import TEST, predict_once, start
    from src.evaluation import classifier_metrics as evaluation

    data, (module, section) = LabelledImages(images), plugins.section("classifiers", params.classifiers, classifier)
    ids = data.ids(TEST)
    net, _ = start(lambda: module.build(len(data.classes), section.model), {}, "", seed=0)
    net.load_state_dict(read_tensors(model)[0])
    labels, scores = predict_once(net, data, ids, section, torch.device(device()), workers())
    metrics = evaluation.measure(ids, labels, scores, data.classes)
    table = evaluation.predictions(ids, labels, scores, data.classes)
    write_json(out, metrics)
    write_csv(confusion, table[["label", "predicted"]].rename(columns={"label": "actual"}))
    write_csv(predictions, table)
    print(", ".join(f"{name} {metrics[name]:.3f}" for name in ("accuracy", "macro_f1", "loss", "calibration_error")))


if __name__ == "__main__":
    command(run)
