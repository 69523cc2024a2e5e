"""Linear SVMs: the hinge loss with an L2 penalty, and two solvers that minimise it.

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


def objective(plane: Plane, positives: np.ndarray, negatives: np.ndarray, *, c: float, weight: float) -> Objective:
    """Compute the objective for positives [P, D] and negatives [N, D]; `weight` is the weight of the positives."""
    return Objective(
        c * weight * float(hinge(positives @ plane.weight + plane.bias).sum()),
        c * float(hinge(-(negatives @ plane.weight + plane.bias)).sum()),
        float(plane.weight @ plane.weight) / 2,
    )


def liblinear(
    positives: np.ndarray, negatives: np.ndarray, *, c: float, weight: float, bias_multiplier: float, seed: int
) -> Plane:
    """Fit a plane with liblinear's dual solver (Fan et al. 2008); params.yaml has rcnn's settings.

    Args:
        positives: [P, D], at least one.
        negatives: [N, D], at least one.
        c: C of the objective.
        weight: weight of the positives.
        bias_multiplier: value of the constant feature that stands for the bias; the larger it is, the less the
            regulariser shrinks the bias.
        seed: seed of liblinear's random numbers.
    """
    from sklearn.svm import LinearSVC  # imported here: it takes a second, and code that only scores does not need it

    solver = LinearSVC(
        loss="hinge",
        C=c,
        class_weight={1: weight},
        intercept_scaling=bias_multiplier,
        random_state=seed,
        max_iter=20_000,
    )
    labels = np.r_[np.ones(len(positives)), -np.ones(len(negatives))]
    x = np.concatenate(
        [positives, negatives], dtype=np.float64
    )  # in single precision LinearSVC would copy it once more
    solver.fit(x, labels)
    return Plane(solver.coef_[0].astype(np.float32), float(solver.intercept_[0]))


def sgd(
    positives: np.ndarray,
    negatives: np.ndarray,
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
    """
    import torch  # imported here: it takes two seconds, and liblinear does not need it

    x = torch.from_numpy(np.concatenate([positives, negatives]).astype(np.float32))
    sign = torch.cat([torch.ones(len(positives)), -torch.ones(len(negatives))])
    importance = torch.where(sign > 0, weight, 1.0)
    w, b = torch.zeros(x.shape[1], requires_grad=True), torch.zeros((), requires_grad=True)
    optimizer = torch.optim.SGD([w, b], lr=schedule.lr, momentum=0.9)
    scheduler = torch.optim.lr_scheduler.StepLR(optimizer, schedule.lr_step, schedule.lr_gamma)
    rng = np.random.default_rng(seed)
    with one_thread():  # again: for the processes of `parallel_map`, in which PyTorch is imported only here
        for _ in range(schedule.epochs):
            for _ in range(-(-len(x) // (num_objects + num_backgrounds))):
                rows = np.r_[
                    rng.integers(len(positives), size=num_objects),
                    len(positives) + rng.integers(len(negatives), size=num_backgrounds),
                ]
                losses = importance[rows] * (1 - sign[rows] * (x[rows] @ w + b)).clamp(min=0)
                optimizer.zero_grad()
                (losses.mean() + w @ w / (2 * c * len(x))).backward()
                optimizer.step()
            scheduler.step()  # per epoch: with a step per batch, the rate is 0 before anything is learnt
    return Plane(w.detach().numpy(), float(b.detach()))
