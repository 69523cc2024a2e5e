"""Whether a change of a headline metric means something: one word, and the band of another kind of machine.

Two things make a figure differ with nothing learnt from it. Other test images would have given another figure: the 95 %
interval of the difference says by how much (src/evaluation/bootstrap.py). And a network that is trained anew differs by chance,
whatever was changed: the standard deviation over seeds says by how much, and the difference of two trainings has
sqrt(2) times that. A change is `better` or `worse` if it exceeds both:

- `same`: the values are equal and the metric was computed of the same files.
- `better`, `worse`: 0 lies outside the interval, and the difference exceeds 1.96 sqrt(2) times the seed deviation. If
  the trained models are the same files, nothing was trained anew and the second condition does not apply. If no
  deviation is known, it cannot be checked.
- `noise`: anything else.
- `new`, `gone`: one side does not have the metric.

Without an interval (the outputs are not at hand, or the test set is another) 1.96 standard errors of the difference of
two independent figures stand in its place. If these are not known either, the seed deviation decides alone, and if that
is not known, the word is `unknown`.
"""

import math
from collections.abc import Mapping
from typing import NamedTuple

NORMAL_95 = 1.96
SMALLEST_BAND = 0.03
BAND_DEVIATIONS = 3
WORDS = ("better", "worse", "noise", "same", "new", "gone", "unknown")


class Change(NamedTuple):
    """A metric on two sides, and what is known of its spread."""

    old: float | None
    new: float | None
    same_outputs: bool = False
    interval: tuple[float, float] | None = None  # of new - old, 95 %, over test images
    errors: tuple[float | None, float | None] = (None, None)  # standard errors of both sides
    seed: float | None = None  # standard deviation over trainings; None where it is not known
    same_models: bool = False  # nothing was trained anew, or nothing is trained at all

    @property
    def difference(self) -> float | None:
        """New minus old; None where a side lacks it."""
        return None if self.old is None or self.new is None else self.new - self.old


def word(change: Change) -> str:
    """One of `WORDS`.

    >>> word(Change(0.60, 0.66, interval=(0.02, 0.10), seed=0.01))
    'better'
    >>> word(Change(0.60, 0.66, interval=(0.02, 0.10), seed=0.03))  # two trainings differ by 0.08 by chance
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
    """How far a metric may lie from the committed one on another kind of machine.

    Another machine adds in another order, training carries that on, and in the end it is as if the seed were another:
    three standard deviations of a difference, of the larger of the deviations over seeds and over arithmetics that are
    known; at least 0.03.

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
    """Whether other test images would not have made the difference; None where nothing is known of that."""
    if change.interval is not None:
        low, high = change.interval
        return low > 0 or high < 0
    if change.difference is None or None in change.errors:
        return None
    old, new = (error or 0.0 for error in change.errors)
    return abs(change.difference) > NORMAL_95 * math.hypot(old, new)


def _beyond_trainings(change: Change) -> bool | None:
    """Whether another seed would not have made the difference; None where the deviation is not known."""
    if change.same_models:
        return True
    if change.difference is None or change.seed is None:
        return None
    return abs(change.difference) > NORMAL_95 * math.sqrt(2) * change.seed
