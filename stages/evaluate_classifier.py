"""Figures of a trained classifier on the test split, its confusions, and what it said of each image."""

from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch

from src import plugins
from src.classification.batches import LabelledBatches
from src.classification.running import BATCH_SIZE, TEST, predict, start
from src.evaluation.bootstrap import accuracy, draws, standard_errors
from src.evaluation.classification import by_class, figures
from src.files.labelled_images import LabelledImages
from src.files.storage import write_csv, write_json
from src.files.weights import read_tensors
from src.params import Sections
from stages.command import command
from stages.environment import device


class Params(Sections):
    """What this stage reads of params.yaml; of `classifiers` the classifier's own section."""

    classifiers: dict[str, Any]


def run(
    params: Params, *, classifier: str, images: Path, model: Path, out: Path, confusion: Path, predictions: Path
) -> None:
    """Write the figures, beside those of always saying the most frequent class, and the two tables."""
    data, (module, section) = LabelledImages(images), plugins.section("classifiers", params.classifiers, classifier)
    ids, classes, where = data.ids(TEST), data.classes, torch.device(device())
    net, _ = start(lambda: module.build(len(classes), section.model), {}, "", seed=0)
    net.load_state_dict(read_tensors(model)[0])
    batches = LabelledBatches(data, ids, section.input, batch_size=BATCH_SIZE)
    labels, scores = predict(net.to(where).eval(), batches, where, flip=section.predict.flip)
    predicted, found = scores.argmax(1), figures(labels, scores)
    most, count = Counter(classes[label] for label in labels).most_common(1)[0]
    right = (labels == predicted)[np.argsort(ids)]
    metrics = {
        **found,
        "standard_error": standard_errors({"accuracy": accuracy(right, draws(len(ids)))}),
        "accuracy_most_frequent": count / len(ids),
        "most_frequent": most,
        "images": len(ids),
        "classes": len(classes),
        "by_class": by_class(labels, predicted, classes),
    }
    write_json(out, metrics)
    actual, said = (np.array(classes)[index] for index in (labels, predicted))
    write_csv(confusion, pd.DataFrame({"actual": actual, "predicted": said}))
    # Ids are the paths in the data set: by their last parts, files of the same name in two classes would be one.
    table = pd.DataFrame({"path": ids, "label": actual, "predicted": said, "score": scores.max(1)})
    write_csv(predictions, table)
    print(", ".join(f"{name} {value:.3f}" for name, value in found.items()))


if __name__ == "__main__":
    command(run)
