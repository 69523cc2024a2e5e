"""A link that opens the page with the same test image, methods and sliders: `?image=voc/000001&methods=rcnn&rcnn=...`.

`image` is data set and name of a test image, `methods` those that are ticked, and each method has the values of its
sliders in their order, separated by commas.
"""

import math
from collections.abc import Mapping, Sequence
from typing import NamedTuple
from urllib.parse import urlencode

from src.demo.panels import ClassifierPanel, Control
from src.demo.photo import Example, Photo
from src.demo.place import Place

IMAGE, METHODS = "image", "methods"


class Settings(NamedTuple):
    """The settings that a link holds."""

    number: int | None  # of the example, from 0; None if the link names no image of this run
    methods: list[str]
    values: list[float]  # of all sliders, method after method
    problems: list[str]  # sentences on what in the link does not fit this run


def query(photo: Photo | None, places: Sequence[Place], methods: Sequence[str], values: Sequence[float]) -> str:
    """Return the part of the link from "?" on.

    Args:
        photo: the one that is shown; a visitor's own photo is not part of a link.
        places: all methods.
        methods: names of those that are ticked; may be empty.
        values: of all sliders, method after method.
    """
    words = {IMAGE: f"{photo.data}/{photo.image_id}"} if photo and photo.data else {}
    words[METHODS] = ",".join(methods)
    remaining = iter(values)
    for place in places:
        if controls := _controls(place):
            words[place.name] = ",".join(f"{next(remaining):g}" for _ in controls)
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
    return Settings(number, [name for name in names if name in asked], values, problems)


def _values(place: Place, text: str | None) -> tuple[list[float], list[str]]:
    """Return the values of a method's sliders, and a sentence if the link's do not fit."""
    controls = _controls(place)
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


def _controls(place: Place) -> list[Control]:
    panel = place.panel
    return [] if isinstance(panel, ClassifierPanel | str) else panel.controls
