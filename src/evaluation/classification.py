"""How good a classifier is: figures over all classes, and how far its scores can be believed.

The figures are those of scikit-learn, as the tests show. They are computed here because importing scikit-learn's takes
more than a second, in each of the five stages that train or evaluate a classifier.
N images, C classes.
"""

from collections.abc import Sequence
from typing import Any

import numpy as np

BINS = 15  # Guo et al. 2017, Sec. 4


def figures(labels: np.ndarray, scores: np.ndarray) -> dict[str, float]:
    """Accuracy, macro F1, mean cross entropy and calibration error.

    Args:
        labels: [N], at least one.
        scores: probabilities [N, C].

    Returns:
        `macro_f1` is the mean over all C classes; one that is neither there nor predicted counts as 0, for nothing is
        known of it.
    """
    predicted = scores.argmax(1)
    right, said, there = _counts(labels, predicted, scores.shape[1])
    return {
        "accuracy": float((labels == predicted).mean()),
        "macro_f1": float(_ratio(2 * right, said + there).mean()),
        "loss": _cross_entropy(labels, scores),
        "calibration_error": calibration_error(labels, scores),
    }


def by_class(labels: np.ndarray, predicted: np.ndarray, classes: Sequence[str]) -> dict[str, dict[str, Any]]:
    """Precision, recall and number of images of each class; 0 where nothing was predicted, or nothing is there."""
    right, said, there = _counts(labels, predicted, len(classes))
    rows = zip(classes, _ratio(right, said), _ratio(right, there), there, strict=True)
    return {name: {"precision": float(p), "recall": float(r), "images": int(n)} for name, p, r, n in rows}


def _counts(labels: np.ndarray, predicted: np.ndarray, num_classes: int) -> list[np.ndarray]:
    """Images of each class [C] that are predicted right, that are predicted to be of it, and that are of it."""
    return [np.bincount(some, minlength=num_classes) for some in (labels[labels == predicted], predicted, labels)]


def _ratio(counts: np.ndarray, of: np.ndarray) -> np.ndarray:
    """Shares [C]; 0 of nothing."""
    return counts / np.maximum(of, 1)


def _cross_entropy(labels: np.ndarray, scores: np.ndarray) -> float:
    """Mean over the images; a score counts as at least the smallest step from 1, so that the loss stays finite."""
    smallest = np.finfo(scores.dtype).eps
    true = scores[np.arange(len(labels)), labels].clip(smallest, 1 - smallest)
    return float(-np.log(true).mean())


def calibration_error(labels: np.ndarray, scores: np.ndarray) -> float:
    """Expected calibration error (Guo et al. 2017, Eq. 3): how far score and accuracy are apart, in 15 equal bins.

    >>> calibration_error(np.array([0, 1]), np.array([[0.75, 0.25], [0.75, 0.25]]))  # sure to 0.75, right in a half
    0.25
    """
    top = scores.max(1)
    right = scores.argmax(1) == labels
    bins = np.minimum((np.ceil(top * BINS) - 1).astype(int), BINS - 1)  # (i / BINS, (i + 1) / BINS], as in the paper
    gaps = np.bincount(bins, weights=right - top, minlength=BINS)
    return float(np.abs(gaps).sum() / len(labels))
