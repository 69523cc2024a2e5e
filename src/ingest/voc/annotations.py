"""The text formats of Pascal VOC: annotation files and lists of the images of a class.

VOC boxes are 1-based and inclusive. `parse_annotation` subtracts 1 from xmin and ymin only, which makes boxes 0-based
and half-open with the same width. Some tools write 0-based boxes, or boxes that end one pixel outside the image: a box
is clipped if it is outside by at most `BORDER` pixels, and is an error if it is further outside.
"""

import math
import re
import xml.etree.ElementTree as ET
from typing import NamedTuple

from src.errors import InputError

BORDER = 1.0  # pixels

Box = tuple[float, float, float, float]


class Object(NamedTuple):
    """One object of an annotation."""

    name: str
    box: Box
    difficult: bool


class Annotation(NamedTuple):
    """The content of one XML file; size is (height, width), None if the file does not give it."""

    size: tuple[int, int] | None
    objects: list[Object]


def read_class_list(text: str) -> list[tuple[str, int]]:
    r"""Read (image id, flag) from each line of a list such as `car_train.txt`; empty if a line has another form.

    Flag 1: the image has an object of the class; 0: only difficult ones; -1: none.

    >>> read_class_list("000012  1\n000017 -1\n")
    [('000012', 1), ('000017', -1)]
    """
    lines = [re.fullmatch(r"\s*(\S+)\s+(-1|0|1)\s*", line) for line in text.splitlines() if line.strip()]
    rows = [(line[1], int(line[2])) for line in lines if line]
    return rows if len(rows) == len(lines) else []


def parse_annotation(content: bytes, name: str) -> Annotation:
    """Parse the objects and the image size of an annotation file.

    A file without objects is valid. An object without `<difficult>` is not difficult.

    Args:
        content: the XML.
        name: the file's name, for the error messages.

    Returns:
        boxes 0-based and half-open, in pixels, as in the file: they are not yet compared with the image.

    Raises:
        InputError: the XML is not valid, or an object has no name or no box.
    """
    try:
        root = ET.fromstring(content)
    except (ET.ParseError, LookupError, ValueError) as error:
        raise InputError(f"{name} is not valid XML ({error}): correct or replace it") from None
    sides = [int(_number(root, f"size/{side}", name, default=0)) for side in ("height", "width")]
    size = (sides[0], sides[1]) if all(sides) else None
    return Annotation(size, [_parse_object(element, name) for element in root.findall("object")])


def _parse_object(element: ET.Element, name: str) -> Object:
    label = (element.findtext("name") or "").strip()
    if not label:
        raise InputError(f"{name} has an object without a <name>: write the object's class there")
    xmin, ymin, xmax, ymax = (_number(element, f"bndbox/{edge}", name) for edge in ("xmin", "ymin", "xmax", "ymax"))
    return Object(label, (xmin - 1, ymin - 1, xmax, ymax), _number(element, "difficult", name, default=0) != 0)


def _number(element: ET.Element, tag: str, name: str, default: float | None = None) -> float:
    text = (element.findtext(tag) or "").strip()
    if not text and default is not None:
        return default
    try:
        value = float(text)
    except ValueError:
        value = math.nan
    if not math.isfinite(value):
        raise InputError(f"{name}: <{tag}> in <{element.tag}> is '{text}' and must be a number: correct it")
    return value


def inside(item: Object, size: tuple[int, int], name: str) -> Object:
    """Clip an object's box to an image.

    Args:
        item: the object.
        size: (height, width) of the image.
        name: the name of the annotation file, for the error messages.

    Raises:
        InputError: the box is outside the image by more than `BORDER` pixels, or has no area.
    """
    x1, y1, x2, y2 = item.box
    height, width = size
    shown = f"{name}: the box of '{item.name}' (xmin {x1 + 1:g}, ymin {y1 + 1:g}, xmax {x2:g}, ymax {y2:g})"
    if min(x1, y1) < -BORDER or x2 > width + BORDER or y2 > height + BORDER:
        raise InputError(f"{shown} lies outside its image of {width} x {height} pixels: correct or remove it")
    box = (max(x1, 0.0), max(y1, 0.0), min(x2, float(width)), min(y2, float(height)))
    if box[0] >= box[2] or box[1] >= box[3]:
        raise InputError(f"{shown} has no area: correct or remove it")
    return item._replace(box=box)
