"""The learning rate over a training, as a factor of its start: warm-up, then steps, milestones, cosines or plateaus.

It is computed from the position and the figures so far alone, so that a resumed training goes on as if it had not been
interrupted (the published SSD code starts its schedule again), and by epochs, not by batches.
"""

import math
from collections.abc import Iterable

from src.training.settings import Train


def lr_factor(settings: Train, epoch: float, figures: Iterable[float] = ()) -> float:
    """The factor of `lr` at a position.

    Args:
        settings: `schedule` and its numbers.
        epoch: from 0, with a fraction within the epoch; the two cosines change within it, all else at its start.
        figures: of the validations so far, the higher the better; `plateau` alone looks at them.

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
            factor = _cosine(min(epoch / settings.epochs, 1))
        case "warm_restarts":
            factor = _cosine(_since_restart(epoch, settings.restart_epochs, settings.restart_factor))
        case "plateau":
            factor = settings.lr_gamma ** plateaus(figures, settings.lr_patience)
    if epoch < settings.warmup_epochs:
        factor *= min((epoch + 1e-3) / settings.warmup_epochs, 1)  # not 0 at the first batch, which would do nothing
    return factor


def plateaus(figures: Iterable[float], patience: int) -> int:
    """How often `patience` figures in a row were not above the best before them; each such row is counted once."""
    best, since, count = -math.inf, 0, 0
    for figure in figures:
        since = 0 if figure > best else since + 1
        best = max(best, figure)
        if since == patience:
            since, count = 0, count + 1
    return count


def _cosine(position: float) -> float:
    """From 1 at position 0 to 0 at position 1."""
    return (1 + math.cos(math.pi * position)) / 2


def _since_restart(epoch: float, length: float, factor: int) -> float:
    """Where in its cosine an epoch lies, 0..1 (SGDR, Eq. 5); the restart itself belongs to the cosine behind it."""
    while epoch >= length:
        epoch, length = epoch - length, length * factor
    return epoch / length
