"""The figures of a classifier on the test images, and the table of its predictions."""

from collections import Counter
from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd

from src.evaluation.bootstrap import accuracy, draws, standard_errors
from src.evaluation.classification import by_class, figures


def measure(image_ids: Sequence[str], labels: np.ndarray, scores: np.ndarray, classes: Sequence[str]) -> dict[str, Any]:
    """Return the content of a metrics file: figures, standard error, the most frequent class as a baseline, counts.

    Args:
        image_ids: N ids, at least one.
        labels: [N].
        scores: probabilities [N, C].
        classes: C names.
    """
    predicted = scores.argmax(1)
    most, count = Counter(classes[label] for label in labels).most_common(1)[0]
    right = (labels == predicted)[np.argsort(image_ids)]
    return {
        **figures(labels, scores),
        "standard_error": standard_errors({"accuracy": accuracy(right, draws(len(image_ids)))}),
        "accuracy_most_frequent": count / len(image_ids),
        "most_frequent": most,
        "images": len(image_ids),
        "classes": len(classes),
        "by_class": by_class(labels, predicted, classes),
    }


def predictions(
    image_ids: Sequence[str], labels: np.ndarray, scores: np.ndarray, classes: Sequence[str]
) -> pd.DataFrame:
    """Tabulate `path`, `label`, `predicted` and `score`, a row per image.

    `path` is the image id, the whole path in the data set, because two classes may have files of the same name.
    Arguments as for `measure`.
    """
    actual, predicted = (np.array(classes)[index] for index in (labels, scores.argmax(1)))
    return pd.DataFrame({"path": image_ids, "label": actual, "predicted": predicted, "score": scores.max(1)})
