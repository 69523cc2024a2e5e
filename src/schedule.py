"""The learning rate over a training, as a factor of its start: warm-up, then steps, milestones or a cosine.

It is computed from the position alone, so that a resumed training goes on as if it had not been interrupted (the
published SSD code starts its schedule again), and by epochs, not by batches.
"""

import math

from src.params import Train


def lr_factor(settings: Train, epoch: float) -> float:
    """The factor of `lr` at a position.

    Args:
        settings: `schedule` and its numbers.
        epoch: from 0, with a fraction within the epoch; `constant`, `step` and `multi_step` change at whole epochs.

    Returns:
        0..1. During `warmup_epochs` it rises linearly to 1; the schedule's own clock runs from epoch 0 on.
    """
    match settings.schedule:
        case "constant":
            factor = 1.0
        case "step":
            factor = settings.lr_gamma ** (int(epoch) // settings.lr_step)
        case "multi_step":
            factor = settings.lr_gamma ** sum(int(epoch) >= milestone for milestone in settings.lr_milestones)
        case "cosine":
            factor = (1 + math.cos(math.pi * min(epoch / settings.epochs, 1))) / 2
    if epoch < settings.warmup_epochs:
        factor *= (epoch + 1e-3) / settings.warmup_epochs  # not 0 at the first batch, which would do nothing
    return factor
