"""Pictures with boxes as HTML: the photo, and above it the boxes as SVG, sharp at any size. N boxes."""

import base64
from collections.abc import Sequence
from html import escape

import cv2
import numpy as np

from src.files.records import Record
from src.prediction.drawing import colour

QUALITY = 85  # of the JPEG
LABELLED = 15  # largest number of boxes with names; more names hide the picture
DRAWN = 300  # largest number of boxes, the best; a browser takes longer to draw more than a method to find them


def data_url(image: np.ndarray) -> str:
    """Encode an RGB image [H, W, 3] as a data URL: the browser fetches nothing, and no file is written."""
    bgr = cv2.cvtColor(image, cv2.COLOR_RGB2BGR)
    content = cv2.imencode(".jpg", bgr, [cv2.IMWRITE_JPEG_QUALITY, QUALITY])[1].tobytes()
    return f"data:image/jpeg;base64,{base64.b64encode(content).decode()}"


def figure(url: str, size: tuple[int, int], record: Record, classes: Sequence[str], caption: str) -> str:
    """Return the HTML of a picture with its boxes, and a line below it with their number.

    Args:
        url: of the picture.
        size: its (height, width) in pixels.
        record: boxes [N, 4] and, if they have classes, labels [N] from 1 and scores [N]; N may be 0.
        classes: label k is `classes[k - 1]`.
        caption: name of the boxes, such as `detections`.
    """
    height, width = size
    count = len(record["boxes"])
    order = np.argsort(record["scores"], kind="stable") if "scores" in record else np.arange(count)
    boxes = "".join(_box(record, int(row), classes, size, count <= LABELLED) for row in order[-DRAWN:])
    text = f"{escape(caption)}: {count}" + (f", the best {DRAWN} are drawn" if count > DRAWN else "")
    return (
        f'<figure data-count="{count}"><svg viewBox="0 0 {width} {height}" role="img" '
        f'aria-label="{escape(caption, quote=True)}: {count} boxes{_listed(record, classes)}">'
        f'<image href="{url}" width="{width}" height="{height}"/>{boxes}</svg><figcaption>{text}</figcaption></figure>'
    )


def _box(record: Record, row: int, classes: Sequence[str], size: tuple[int, int], labelled: bool) -> str:
    x1, y1, x2, y2 = record["boxes"][row].tolist()
    label = int(record["labels"][row]) if "labels" in record else 1
    name = _name(record, row, classes)
    longest, letters, text = max(size), max(size) / 26, ""
    if labelled and name:
        # The text starts at the left side of the box; in the right half of the picture it ends at the right side.
        x, anchor = (x1 + letters / 4, "start") if x1 < size[1] / 2 else (x2 - letters / 4, "end")
        y = min(y1 + letters, size[0] - letters / 4)
        text = (
            f'<text x="{x:.1f}" y="{y:.1f}" font-size="{letters:.1f}" text-anchor="{anchor}" '
            f'stroke-width="{letters / 5:.1f}">{name}</text>'
        )
    stroke = "#{:02x}{:02x}{:02x}".format(*colour(label))
    return (
        f'<g><title>{name}</title><rect x="{x1:.1f}" y="{y1:.1f}" width="{x2 - x1:.1f}" height="{y2 - y1:.1f}" '
        f'stroke="{stroke}" stroke-width="{longest / 160:.2f}"/>{text}</g>'
    )


def _name(record: Record, row: int, classes: Sequence[str]) -> str:
    if "scores" not in record:
        return ""
    name = classes[int(record["labels"][row]) - 1]
    return escape(f"{name} {record['scores'][row]:.2f}".strip(), quote=True)


def _listed(record: Record, classes: Sequence[str]) -> str:
    """List the best three, for visitors who cannot see the picture."""
    if "scores" not in record or not len(record["scores"]):
        return ""
    best = np.argsort(-record["scores"], kind="stable")[:3]
    return ", the best " + ", ".join(_name(record, int(row), classes) for row in best)
