"""The loss of classifiers: cross entropy, with smoothed or mixed labels, class weights and a focus on hard images.

B images, C classes.
"""

from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from src.classification.params import Loss
from src.errors import InputError
from src.training.processes import weight


def class_weights(rules: Loss, classes: Sequence[str], labels: Sequence[int]) -> Tensor | None:
    """Compute the weights of the classes, [C]; None if the rules ask for none.

    `balanced` gives all classes the same total weight, as in scikit-learn: images / (classes x images of the class). A
    class without images keeps weight 1. `class_weights` multiplies the weights of the classes that it names.
    """
    if unknown := [name for name in rules.class_weights if name not in classes]:
        raise InputError(f"loss.class_weights: there is no class {unknown[0]!r}; the data have {', '.join(classes)}")
    if not rules.balanced and not rules.class_weights:
        return None
    counts = np.bincount(labels, minlength=len(classes))
    weights = np.ones(len(classes))
    if rules.balanced:
        weights[counts > 0] = len(labels) / (np.count_nonzero(counts) * counts[counts > 0])
    weights *= [rules.class_weights.get(name, 1.0) for name in classes]
    return torch.tensor(weights, dtype=torch.float32)


def loss(logits: Tensor, labels: Tensor, rules: Loss, weights: Tensor | None = None) -> Tensor:
    """Compute the mean loss over the images of a batch; of several processes, this one's part of the mean over all.

    Args:
        logits: [B, C].
        labels: [B], or class shares [B, C] of mixed images.
        rules: `label_smoothing`, and `focal_gamma` of the focal loss (Lin et al. 2017, Eq. 4), any number from 0.
        weights: weights of the classes, [C]; as in torch, the mean over labels [B] is a weighted mean.
    """
    total = weights[labels].sum() if weights is not None and labels.ndim == 1 else len(labels)
    return weight(total) * _mean(logits, labels, rules, weights, total)


def _mean(logits: Tensor, labels: Tensor, rules: Loss, weights: Tensor | None, total: Tensor | int) -> Tensor:
    """Compute the mean over these images, whose weights add up to `total`."""
    if rules.focal_gamma == 0:
        return functional.cross_entropy(logits, labels, weight=weights, label_smoothing=rules.label_smoothing)
    num_classes = logits.shape[1]
    shares = functional.one_hot(labels, num_classes).to(logits.dtype) if labels.ndim == 1 else labels
    shares = shares * (1 - rules.label_smoothing) + rules.label_smoothing / num_classes
    log_p = functional.log_softmax(logits, dim=1)
    # At p = 1 a power below 1 has an infinite slope. The clamp avoids it; the loss is about 0 there anyway.
    missing = (-torch.expm1(log_p)).clamp(min=1e-6)
    each = -shares * missing**rules.focal_gamma * log_p
    if weights is None:
        return each.sum(1).mean()
    return (each * weights).sum() / total
