"""The accuracy of detectors against what they cost: the picture of docs/results.md."""

from collections.abc import Sequence
from typing import NamedTuple

from matplotlib.figure import Figure

from src.pictures.canvas import DPI, png

SIZE = (900, 340)  # pixels
MARKERS = "osD^vP"


class Cost(NamedTuple):
    """A detector's score and its costs."""

    title: str
    map_voc07: float
    error: float  # standard error of the score
    seconds: float  # per test image
    minutes: float  # of training


def picture(detectors: Sequence[Cost]) -> bytes:
    """Return a PNG with mAP against seconds per image, and against minutes of training; bars are standard errors."""
    figure = Figure(figsize=(SIZE[0] / DPI, SIZE[1] / DPI), dpi=DPI, facecolor="white", layout="constrained")
    left, right = figure.subplots(1, 2, sharey=True)
    for axes, name, values in (
        (left, "seconds per image", [detector.seconds for detector in detectors]),
        (right, "minutes of training", [detector.minutes for detector in detectors]),
    ):
        for number, (detector, value) in enumerate(zip(detectors, values, strict=True)):
            marker = MARKERS[number % len(MARKERS)]
            axes.errorbar(value, detector.map_voc07, detector.error, fmt=marker, capsize=3, label=detector.title)
        axes.set(xlabel=name, xlim=(0, 1.1 * max(values, default=1)))
        axes.grid(alpha=0.3)
    left.set_ylabel("VOC07 mAP")
    if detectors:
        right.legend(frameon=False, loc="lower left", bbox_to_anchor=(0, 0.02))
    return png(figure)
