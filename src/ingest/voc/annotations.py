"""The text formats of Pascal VOC: annotation files and lists of the images of a class.

VOC boxes are 1-based and inclusive. `parse_annotation` subtracts 1 from xmin and ymin only, which makes boxes 0-based
and half-open with the same width.
"""

import math
import re
import xml.etree.ElementTree as ET

from src.errors import InputError
from src.ingest.boxed import Annotation, Box, Object
from src.ingest.problems import for_each


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

    A file without objects is valid. An object without `<difficult>` is not difficult. Tags may be in any case, as early
    versions of labelImg wrote `<Difficult>`.

    Args:
        content: the XML.
        name: the file's name, for the error messages.

    Returns:
        boxes 0-based and half-open, in pixels, as in the file: they are not yet compared with the image.

    Raises:
        InputError: the XML is not valid, or an object has no name or not one box.
    """
    try:
        root = _root(content)
    except (ET.ParseError, LookupError, ValueError) as error:
        if isinstance(error, ET.ParseError) and not _is_utf8(content):
            problem = "has letters that are not in UTF-8, and its first line declares no other encoding"
            raise InputError(f"{name} {problem}: save it as UTF-8") from None
        raise InputError(f"{name} is not valid XML ({error}): correct or replace it") from None
    for element in root.iter():
        element.tag = element.tag.lower()
    sides = [int(_number(root, f"size/{side}", name, default=0)) for side in ("height", "width")]
    size = (sides[0], sides[1]) if all(sides) else None
    return Annotation(size, for_each(lambda element: _parse_object(element, name), root.findall("object")))


def _is_utf8(content: bytes) -> bool:
    try:
        content.decode()
    except UnicodeDecodeError:
        return False
    return True


def _root(content: bytes) -> ET.Element:
    """Parse XML; the parser knows no multi-byte encoding but Unicode's, so Python decodes those that are declared."""
    declared = re.match(rb"""\s*<\?xml[^>]*encoding=["']([\w.-]+)["'][^>]*\?>""", content)
    if declared is None or declared[1].lower().startswith((b"utf", b"us-ascii")):
        return ET.fromstring(content)
    return ET.fromstring(content[declared.end() :].decode(declared[1].decode()))


def _parse_object(element: ET.Element, name: str) -> Object:
    label = (element.findtext("name") or "").strip()
    if not label:
        raise InputError(f"{name} has an object without a <name>: write the object's class there")
    boxes = len(element.findall("bndbox"))
    if boxes != 1:
        problem = "no <bndbox> (a rotated box is none)" if boxes == 0 else f"{boxes} <bndbox> in one <object>"
        raise InputError(f"{name} has an object '{label}' with {problem}: write one <object> with one <bndbox> each")
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


def written(box: Box) -> str:
    """Return a box in the notation of an annotation file."""
    x1, y1, x2, y2 = box
    return f"xmin {x1 + 1:g}, ymin {y1 + 1:g}, xmax {x2:g}, ymax {y2:g}"
