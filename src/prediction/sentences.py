"""Sentences for the user of a prediction: the files that were passed over, and the numbers of what was found."""

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np

from src.prediction.photos import SUFFIXES


def ignored(suffixes: Mapping[str, int]) -> str:
    """Return a sentence on files of folders that were passed over, by suffix; empty if there is none.

    >>> ignored({"": 2, ".heic": 1}).partition(":")[0]
    '3 files in the folders were passed over (2 without suffix, 1 .heic)'
    """
    if not suffixes:
        return ""
    kinds = ", ".join(f"{count} {suffix or 'without suffix'}" for suffix, count in suffixes.items())
    count = sum(suffixes.values())
    return (
        f"{number(count, 'file')} in the folders {'was' if count == 1 else 'were'} passed over ({kinds}): "
        f"folders are searched for {', '.join(SUFFIXES)}; convert other photos, and name videos one by one"
    )


def counted(
    names: Sequence[str],
    photos: int,
    folder: Path,
    found: Sequence[np.ndarray] | None = None,
    show_above: float = 0.0,
) -> str:
    """Return the numbers of photos, frames and boxes, and the place of the pictures.

    Args:
        names: ids of all images, photos first.
        photos: number of photos among them; the others are frames of videos.
        folder: the folder of the pictures.
        found: scores [N] by image, for a detector; N may be 0.
        show_above: score above which the pictures show a box.

    >>> counted(["7"], 1, Path("out/ssd300"), [np.array([0.9, 0.5, 0.1])], 0.5)
    '1 photo: 1 box above 0.5 (3 in all) -> out/ssd300/7.jpg'
    >>> counted(["a", "film_000", "film_001"], 1, Path("out/rcnn"), [np.zeros(0)] * 3)
    '1 photo and 2 frames: 0 boxes above 0 (0 in all) -> out/rcnn/'
    """
    frames = len(names) - photos
    kinds = [number(count, kind) for count, kind in ((photos, "photo"), (frames, "frame")) if count]
    text = " and ".join(kinds) or number(0, "image")
    if found is not None:
        shown = sum(int((scores > show_above).sum()) for scores in found)
        text += f": {number(shown, 'box', 'boxes')} above {show_above:g} ({sum(map(len, found))} in all)"
    return f"{text} -> {folder / names[0]}.jpg" if len(names) == photos == 1 else f"{text} -> {folder}/"


def number(count: int, one: str, many: str = "") -> str:
    """Return a count with its noun; the plural is `many`, or the noun with an s.

    >>> number(1, "box", "boxes"), number(0, "photo")
    ('1 box', '0 photos')
    """
    return f"{count} {one if count == 1 else many or one + 's'}"
