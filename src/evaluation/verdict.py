"""The verdict on a change of a headline metric, in one word, and the tolerance for another kind of machine.

A figure can change for two reasons that say nothing about the method. First, other test images would give another
figure: the 95 % interval of the difference measures this (src/evaluation/bootstrap.py). Second, a network that is
trained again differs by chance: the standard deviation over seeds measures this, and the difference of two trainings
has sqrt(2) times that deviation. A change is `better` or `worse` if it exceeds both:

- `same`: the values are equal and the metric was computed from the same files.
- `better`, `worse`: 0 lies outside the interval, and the difference exceeds 1.96 sqrt(2) times the seed deviation. If
  the trained models are the same files, nothing was trained again and the second condition does not apply. If no
  deviation is known, the second condition cannot be checked.
- `noise`: anything else.
- `new`, `gone`: one side does not have the metric.

Without an interval (the outputs are not available, or the test sets differ), 1.96 standard errors of the difference of
two independent figures replace it. If these are not known either, the seed deviation decides alone; if that is not
known, the word is `unknown`.
"""

import math
from collections.abc import Mapping
from typing import NamedTuple

NORMAL_95 = 1.96
SMALLEST_BAND = 0.03
BAND_DEVIATIONS = 3
WORDS = ("better", "worse", "noise", "same", "new", "gone", "unknown")


class Change(NamedTuple):
    """The values of a metric before and after a change, and what is known about its spread."""

    old: float | None
    new: float | None
    same_outputs: bool = False
    interval: tuple[float, float] | None = None  # of new - old, 95 %, over test images
    errors: tuple[float | None, float | None] = (None, None)  # standard errors of both sides
    seed: float | None = None  # standard deviation over trainings; None if it is not known
    same_models: bool = False  # nothing was trained again, or the method learns nothing

    @property
    def difference(self) -> float | None:
        """New minus old; None if one side does not have the metric."""
        return None if self.old is None or self.new is None else self.new - self.old


def word(change: Change) -> str:
    """Return the verdict, one of `WORDS`.

    >>> word(Change(0.60, 0.66, interval=(0.02, 0.10), seed=0.01))
    'better'
    >>> word(Change(0.60, 0.66, interval=(0.02, 0.10), seed=0.03))  # two trainings differ by up to 0.08 by chance
    'noise'
    """
    if change.difference is None:
        return _one_sided(change)
    if change.difference == 0 and change.same_outputs:
        return "same"
    images, trainings = _beyond_images(change), _beyond_trainings(change)
    if images is None and (trainings is None or change.same_models):
        return "unknown"
    if images is False or trainings is False or change.difference == 0:
        return "noise"
    return "better" if change.difference > 0 else "worse"


def band(deviations: Mapping[str, float] | None) -> float:
    """Compute how far a metric may be from the committed one on another kind of machine.

    Another machine adds numbers in another order, and training amplifies the difference until it is like that of
    another seed. So the band is three standard deviations of a difference, at least 0.03. It uses the larger of the
    known deviations over seeds and over arithmetics.

    >>> round(band({"seed": 0.01, "arithmetic": 0.02}), 3), band(None)
    (0.085, 0.03)
    """
    known = [value for key, value in (deviations or {}).items() if key in ("seed", "arithmetic")]
    return max([SMALLEST_BAND, *(BAND_DEVIATIONS * math.sqrt(2) * value for value in known)])


def _one_sided(change: Change) -> str:
    if change.old is change.new is None:
        return "same" if change.same_outputs else "unknown"
    return "new" if change.old is None else "gone"


def _beyond_images(change: Change) -> bool | None:
    """Check that the difference exceeds the influence of other test images; None if that is not known."""
    if change.interval is not None:
        low, high = change.interval
        return low > 0 or high < 0
    if change.difference is None or None in change.errors:
        return None
    old, new = (error or 0.0 for error in change.errors)
    return abs(change.difference) > NORMAL_95 * math.hypot(old, new)


def _beyond_trainings(change: Change) -> bool | None:
    """Check that the difference exceeds the influence of another seed; None if the deviation is not known."""
    if change.same_models:
        return True
    if change.difference is None or change.seed is None:
        return None
    return abs(change.difference) > NORMAL_95 * math.sqrt(2) * change.seed
