"""How good a classifier is: scikit-learn's figures over all classes, and how far its scores can be believed.

N images, C classes.
"""

from collections.abc import Sequence
from typing import Any

import numpy as np
from sklearn.metrics import accuracy_score, f1_score, log_loss, precision_recall_fscore_support

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
    classes, predicted = range(scores.shape[1]), scores.argmax(1)
    return {
        "accuracy": float(accuracy_score(labels, predicted)),
        "macro_f1": float(f1_score(labels, predicted, labels=classes, average="macro", zero_division=0)),
        "loss": float(log_loss(labels, scores, labels=classes)),
        "calibration_error": calibration_error(labels, scores),
    }


def by_class(labels: np.ndarray, predicted: np.ndarray, classes: Sequence[str]) -> dict[str, dict[str, Any]]:
    """Precision, recall and number of images of each class; 0 where nothing was predicted, or nothing is there."""
    precision, recall, _, images = precision_recall_fscore_support(
        labels, predicted, labels=range(len(classes)), zero_division=0
    )
    rows = zip(classes, precision, recall, images, strict=True)
    return {name: {"precision": float(p), "recall": float(r), "images": int(n)} for name, p, r, n in rows}


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
