"""Metrics of a classifier: accuracy, F1, cross entropy and calibration over all classes, and figures per class.

The figures equal those of scikit-learn, as the tests show. They are computed here because importing scikit-learn takes
more than a second, in each of the five stages that train or evaluate a classifier.
N is the number of images, C that of classes.
"""

from collections.abc import Sequence
from typing import Any

import numpy as np

BINS = 15  # Guo et al. 2017, Sec. 4


def figures(labels: np.ndarray, scores: np.ndarray) -> dict[str, float]:
    """Compute accuracy, macro F1, mean cross entropy and calibration error.

    Args:
        labels: [N], at least one.
        scores: probabilities [N, C].

    Returns:
        The figures by name. `macro_f1` is the mean over all C classes; a class that has no image and is never predicted
        counts as 0, because nothing is known about it.
    """
    predicted = scores.argmax(1)
    right, predictions, images = _counts(labels, predicted, scores.shape[1])
    return {
        "accuracy": float((labels == predicted).mean()),
        "macro_f1": float(_ratio(2 * right, predictions + images).mean()),
        "loss": _cross_entropy(labels, scores),
        "calibration_error": calibration_error(labels, scores),
    }


def by_class(labels: np.ndarray, predicted: np.ndarray, classes: Sequence[str]) -> dict[str, dict[str, Any]]:
    """Compute precision (0 without predictions), recall (0 without images) and number of images per class."""
    right, predictions, images = _counts(labels, predicted, len(classes))
    rows = zip(classes, _ratio(right, predictions), _ratio(right, images), images, strict=True)
    return {name: {"precision": float(p), "recall": float(r), "images": int(n)} for name, p, r, n in rows}


def _counts(labels: np.ndarray, predicted: np.ndarray, num_classes: int) -> list[np.ndarray]:
    """Count per class [C] the images predicted right, those predicted as the class, and those that belong to it."""
    groups = (labels[labels == predicted], predicted, labels)
    return [np.bincount(group, minlength=num_classes) for group in groups]


def _ratio(counts: np.ndarray, of: np.ndarray) -> np.ndarray:
    """Divide counts [C]; 0 if the divisor is 0."""
    return counts / np.maximum(of, 1)


def _cross_entropy(labels: np.ndarray, scores: np.ndarray) -> float:
    """Compute the mean over the images. Scores stay one smallest step away from 0 and 1, so that the loss is finite."""
    smallest = np.finfo(scores.dtype).eps
    true = scores[np.arange(len(labels)), labels].clip(smallest, 1 - smallest)
    return float(-np.log(true).mean())


def calibration_error(labels: np.ndarray, scores: np.ndarray) -> float:
    """Compute the expected calibration error (Guo et al. 2017, Eq. 3), the gap of score and accuracy in 15 equal bins.

    >>> calibration_error(np.array([0, 1]), np.array([[0.75, 0.25], [0.75, 0.25]]))  # score 0.75, accuracy 0.5
    0.25
    """
    top = scores.max(1)
    right = scores.argmax(1) == labels
    bins = np.minimum((np.ceil(top * BINS) - 1).astype(int), BINS - 1)  # (i / BINS, (i + 1) / BINS], as in the paper
    gaps = np.bincount(bins, weights=right - top, minlength=BINS)
    return float(np.abs(gaps).sum() / len(labels))
