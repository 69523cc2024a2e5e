"""The learning rate over a training, as a factor of `lr`: warm-up, then steps, milestones, cosines or plateaus.

The factor depends only on the position and the figures so far, so a resumed training continues as if it had not been
interrupted (the published SSD code starts its schedule again). Positions are in epochs, not in batches.
"""

import math
from collections.abc import Iterable

from src.training.settings import Train


def lr_factor(settings: Train, epoch: float, figures: Iterable[float] = ()) -> float:
    """Compute the factor of `lr` at a position.

    Args:
        settings: `schedule` and its numbers.
        epoch: from 0, with a fraction within the epoch. The warm-up and the two cosines change within an epoch, all
            others only at its start.
        figures: figures of the validations so far, higher is better; only `plateau` uses them.

    Returns:
        0..1. A warm-up factor, which rises linearly to 1 over `warmup_epochs`, multiplies the schedule's own factor;
        the schedule itself also counts from epoch 0.
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
    """Count how often `patience` figures in a row were not above the best before them; each such row counts once."""
    best, since, count = -math.inf, 0, 0
    for figure in figures:
        since = 0 if figure > best else since + 1
        best = max(best, figure)
        if since == patience:
            since, count = 0, count + 1
    return count


def _cosine(position: float) -> float:
    """Return a half cosine, which falls from 1 at position 0 to 0 at position 1."""
    return (1 + math.cos(math.pi * position)) / 2


def _since_restart(epoch: float, length: float, factor: int) -> float:
    """Return the position 0..1 of an epoch in its cosine (SGDR, Eq. 5); a restart belongs to the cosine after it."""
    while epoch >= length:
        epoch, length = epoch - length, length * factor
    return epoch / length
