"""Names beside boxes, placed so that no two overlap. N boxes.

The width of a text depends on the visitor's fonts, so the page stretches each name to the width that is computed here.
"""

from collections.abc import Iterator, Sequence
from typing import NamedTuple

import numpy as np

WIDE, HIGH = 0.56, 1.2  # of a letter and of a line, as shares of the font size


class Name(NamedTuple):
    """A name's place in the picture, in pixels."""

    text: str
    left: float
    top: float
    width: float
    height: float

    def overlaps(self, other: "Name") -> bool:
        """Tell whether two names share a point inside both."""
        apart_x = self.left + self.width <= other.left or other.left + other.width <= self.left
        apart_y = self.top + self.height <= other.top or other.top + other.height <= self.top
        return not (apart_x or apart_y)


def place_names(texts: Sequence[str], boxes: np.ndarray, size: tuple[int, int], letters: float) -> list[Name]:
    """Find a place for each name at its box, inside the picture and apart from the names before it.

    A name stands inside its box at a corner, or else above or below it. A name that fits nowhere is left out.

    Args:
        texts: N names, the most important first; an empty one needs no place.
        boxes: [N, 4] in pixels; N may be 0.
        size: (height, width) of the picture.
        letters: the font size in pixels.
    """
    placed: list[Name] = []
    for text, box in zip(texts, boxes.tolist(), strict=True):
        free = (name for name in _places(text, box, size, letters) if not any(map(name.overlaps, placed)))
        if text and (name := next(free, None)):
            placed.append(name)
    return placed


def _places(text: str, box: list[float], size: tuple[int, int], letters: float) -> Iterator[Name]:
    """Give the places at a box, the best first, moved into the picture; none if the picture is too small."""
    width, height = letters * (WIDE * len(text) + 0.4), letters * HIGH
    if width > size[1] or height > size[0]:
        return
    x1, y1, x2, y2 = box
    right = x2 - width
    corners = [(x1, y1), (right, y1), (x1, y2 - height), (right, y2 - height)]
    for left, top in [*corners, (x1, y1 - height), (x1, y2), (right, y1 - height), (right, y2)]:
        yield Name(text, min(max(left, 0.0), size[1] - width), min(max(top, 0.0), size[0] - height), width, height)
