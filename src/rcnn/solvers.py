"""Linear SVMs: the hinge loss with an L2 penalty, and the tutorial's solver; ours is `src.rcnn.coordinate_descent`.

    objective = |w|^2 / 2 + C * sum_i weight_i * max(0, 1 - y_i (w x_i + b)),   y_i = +1 or -1

D is the number of features of a region. The published tutorial code takes the maximum over *all* classes, including
the true one with its constant margin of 1. So its loss never falls below 1, and has no gradient as soon as a region is
on the correct side. That is a perceptron, not an SVM.
"""

from typing import NamedTuple

import numpy as np

from src.parallel import one_thread
from src.params import Count, Positive, Section
from src.rcnn.planes import Plane


class Sgd(Section):
    """The tutorial's schedule for the SVMs."""

    lr: Positive
    lr_step: Count
    lr_gamma: Positive
    epochs: Count


class Fit(NamedTuple):
    """The result of a solver for N rows."""

    plane: Plane
    scores: np.ndarray  # [N], of the rows by the plane
    duals: np.ndarray  # [N], from which another fit may start
    finished: bool  # False if the solver came to the limit of its sweeps


class Objective(NamedTuple):
    """The parts of the objective, as rcnn's `rcnn_train.m` prints them."""

    positives: float
    negatives: float
    regularizer: float

    @property
    def total(self) -> float:
        """The value that the solver minimises."""
        return self.positives + self.negatives + self.regularizer


def hinge(margins: np.ndarray) -> np.ndarray:
    """Compute max(0, 1 - margin) for margins `y * score`: 0 at a margin of 1 or more, 0.7 at a margin of 0.3."""
    return np.maximum(0, 1 - margins)


def objective(
    normal: np.ndarray, positive_scores: np.ndarray, negative_scores: np.ndarray, *, c: float, weight: float
) -> Objective:
    """Compute the objective of a plane from its normal [D] and the scores of positives [P] and of negatives [N].

    `weight` is the weight of the positives. P and N may be 0.
    """
    return Objective(
        c * weight * float(hinge(positive_scores).sum()),
        c * float(hinge(-negative_scores).sum()),
        float(normal @ normal) / 2,
    )


def sgd(
    x: np.ndarray,
    y: np.ndarray,
    *,
    c: float,
    weight: float,
    schedule: Sgd,
    seed: int,
    num_objects: int = 32,
    num_backgrounds: int = 96,
) -> Plane:
    """Fit a plane with the tutorial's schedule: batches of 32 + 96, SGD with momentum 0.9, steps of the learning rate.

    The loss of a batch is its mean hinge loss plus |w|^2 / (2 C n). This is the objective divided by C n, but positives
    and negatives count 1:3 whatever their numbers, as in the tutorial. An epoch takes as many random regions as there
    are regions.

    Args:
        x: float32 [N, D].
        y: float32 [N], +1 or -1, at least one of each.
        c, weight: as in `objective`.
        schedule: learning rate, its steps, and epochs.
        seed: seed of the choice of regions.
        num_objects, num_backgrounds: positives and negatives of a batch.
    """
    import torch  # imported here: it takes two seconds, and coordinate descent does not need it

    objects, backgrounds = np.flatnonzero(y > 0), np.flatnonzero(y < 0)
    features, sign = torch.from_numpy(x), torch.from_numpy(y)
    importance = torch.where(sign > 0, weight, 1.0)
    w, b = torch.zeros(x.shape[1], requires_grad=True), torch.zeros((), requires_grad=True)
    optimizer = torch.optim.SGD([w, b], lr=schedule.lr, momentum=0.9)
    scheduler = torch.optim.lr_scheduler.StepLR(optimizer, schedule.lr_step, schedule.lr_gamma)
    rng = np.random.default_rng(seed)
    with one_thread():  # again: for the processes of `parallel_map`, in which PyTorch is imported only here
        for _ in range(schedule.epochs):
            for _ in range(-(-len(x) // (num_objects + num_backgrounds))):
                rows = np.r_[
                    objects[rng.integers(len(objects), size=num_objects)],
                    backgrounds[rng.integers(len(backgrounds), size=num_backgrounds)],
                ]
                losses = importance[rows] * (1 - sign[rows] * (features[rows] @ w + b)).clamp(min=0)
                optimizer.zero_grad()
                (losses.mean() + w @ w / (2 * c * len(x))).backward()
                optimizer.step()
            scheduler.step()  # per epoch: with a step per batch, the rate is 0 before anything is learnt
    return Plane(w.detach().numpy(), float(b.detach()))
