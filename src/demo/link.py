"""A link that opens the page with the same test image, methods and sliders: `?image=voc/000001&methods=rcnn&rcnn=...`.

`image` is data set and name of a test image, `truth` (yes or no) says if its true objects are drawn, `methods` are
those that are ticked, and each method has the values of its sliders in their order, separated by commas.
"""

import math
from collections.abc import Mapping, Sequence
from typing import NamedTuple
from urllib.parse import urlencode

from src.demo.photo import Example, Photo
from src.demo.place import Place

IMAGE, TRUTH, METHODS = "image", "truth", "methods"
WORDS = {"yes": True, "no": False}


class Settings(NamedTuple):
    """The settings that a link holds."""

    number: int | None  # of the example, from 0; None if the link names no image of this run
    truth: bool  # the true objects are drawn
    methods: list[str]
    values: list[float]  # of all sliders, method after method
    problems: list[str]  # sentences on what in the link does not fit this run


def query(
    photo: Photo | None, places: Sequence[Place], methods: Sequence[str], values: Sequence[float], truth: bool
) -> str:
    """Return the part of the link from "?" on.

    Args:
        photo: the one that is shown; a visitor's own photo is not part of a link.
        places: all methods.
        methods: names of those that are ticked; may be empty.
        values: of all sliders, method after method.
        truth: the true objects are drawn.
    """
    words = {IMAGE: f"{photo.data}/{photo.image_id}"} if photo and photo.data else {}
    words[TRUTH] = "yes" if truth else "no"
    words[METHODS] = ",".join(methods)
    remaining = iter(values)
    for place in places:
        if place.controls:
            words[place.name] = ",".join(f"{next(remaining):g}" for _ in place.controls)
    return f"?{urlencode(words, safe=',/')}"


def read(words: Mapping[str, str], places: Sequence[Place], examples: Sequence[Example]) -> Settings:
    """Read the settings of a link. What it lacks, or what does not fit, has the value with which the page begins.

    Args:
        words: the link's names and values; names of no method are ignored.
        places: all methods.
        examples: the test images to pick from.
    """
    problems: list[str] = []
    known = [f"{example.data}/{example.image_id}" for example in examples]
    image = words.get(IMAGE)
    if image is not None and image not in known:
        problems.append(f"The link names the test image {image}, which is not among those of this run.")
    truth = words.get(TRUTH, "yes")
    if truth not in WORDS:
        problems.append(f"The link says {TRUTH}={truth} of the true objects, which is neither yes nor no.")
    names = [place.name for place in places]
    asked = [name for name in words.get(METHODS, ",".join(names)).split(",") if name]
    if unknown := [name for name in asked if name not in names]:
        problems.append(f"The link names methods that this run does not have: {', '.join(unknown)}.")
    values: list[float] = []
    for place in places:
        found, problem = _values(place, words.get(place.name))
        values += found
        problems += problem
    number = known.index(image) if image in known else None
    chosen = [name for name in names if name in asked]
    return Settings(number, WORDS.get(truth, True), chosen, values, problems)


def _values(place: Place, text: str | None) -> tuple[list[float], list[str]]:
    """Return the values of a method's sliders, and a sentence if the link's do not fit."""
    controls = place.controls
    usual = [item.value for item in controls]
    if text is None or not controls:
        return usual, []
    try:
        given = [float(word) for word in text.split(",")]
    except ValueError:
        given = []
    inside = len(given) == len(controls) and all(
        math.isfinite(value) and item.least <= value <= item.most for value, item in zip(given, controls, strict=True)
    )
    if inside:
        return given, []
    limits = "; ".join(f"{item.label}, {item.least:g} to {item.most:g}" for item in controls)
    return usual, [f"The link's numbers for {place.title} are not those of its sliders ({limits})."]
