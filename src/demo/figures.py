"""Pictures with boxes as HTML: the photo, and above it the boxes as SVG, sharp at any size. N boxes, M objects."""

import base64
from collections.abc import Sequence
from html import escape

import cv2
import numpy as np

from src.demo.labels import Name, place_names
from src.files.records import Record
from src.prediction.drawing import colour

QUALITY = 85  # of the JPEG
LABELLED = 15  # largest number of names, those of the best boxes; more names hide the picture
DRAWN = 300  # largest number of boxes, the best; a browser takes longer to draw more than a method to find them


def data_url(image: np.ndarray) -> str:
    """Encode an RGB image [H, W, 3] as a data URL: the browser fetches nothing, and no file is written."""
    bgr = cv2.cvtColor(image, cv2.COLOR_RGB2BGR)
    content = cv2.imencode(".jpg", bgr, [cv2.IMWRITE_JPEG_QUALITY, QUALITY])[1].tobytes()
    return f"data:image/jpeg;base64,{base64.b64encode(content).decode()}"


def figure(
    url: str,
    size: tuple[int, int],
    record: Record,
    classes: Sequence[str],
    caption: str,
    *,
    total: int | None = None,
    objects: Sequence[tuple[str, np.ndarray]] = (),
) -> str:
    """Return the HTML of a picture with its boxes, and a line below it with their numbers.

    Args:
        url: of the picture.
        size: its (height, width) in pixels.
        record: boxes [N, 4] and, if they have classes, labels [N] from 1 and scores [N]; N may be 0.
        classes: label k is `classes[k - 1]`.
        caption: name of the boxes, such as `detections`.
        total: number of boxes that these were chosen from; N if None.
        objects: M true objects, each a name and a box [4], which are dashed; M may be 0.
    """
    height, width = size
    count = len(record["boxes"])
    best = np.argsort(-record["scores"], kind="stable") if "scores" in record else np.arange(count)
    drawn = best[:DRAWN]
    boxes = "".join(_box(record, int(row), classes, size) for row in drawn[::-1])
    names = [_name(record, int(row), classes) for row in drawn]
    letters = max(size) / 26
    placed = place_names(names[:LABELLED], record["boxes"][drawn[:LABELLED]], size, letters)
    text = _counts(count, count if total is None else total, sum(map(bool, names)) - len(placed))
    dashed = f'<span class="truth">; {len(objects)} true, dashed</span>' if objects else ""
    return (
        f'<figure data-count="{count}"><svg viewBox="0 0 {width} {height}" role="img" '
        f'aria-label="{escape(caption, quote=True)}: {count} boxes{_listed(record, classes)}">'
        f'<image href="{url}" width="{width}" height="{height}"/>'
        f"{_dashed(objects, max(size))}{boxes}{''.join(_text(name, letters) for name in placed)}</svg>"
        f"<figcaption>{escape(caption)}: {text}{dashed}</figcaption></figure>"
    )


def _counts(count: int, total: int, unnamed: int) -> str:
    chosen = f"{count} of {total} boxes"
    text = f"{chosen} drawn" if count <= DRAWN else f"{chosen}, the best {DRAWN} drawn"
    return text + (f", {unnamed} without a name for lack of room" if unnamed else "")


def _box(record: Record, row: int, classes: Sequence[str], size: tuple[int, int]) -> str:
    x1, y1, x2, y2 = record["boxes"][row].tolist()
    label = int(record["labels"][row]) if "labels" in record else 1
    stroke = "#{:02x}{:02x}{:02x}".format(*colour(label))
    return (
        f"<g><title>{escape(_name(record, row, classes))}</title>"
        f'<rect x="{x1:.1f}" y="{y1:.1f}" width="{x2 - x1:.1f}" height="{y2 - y1:.1f}" '
        f'stroke="{stroke}" stroke-width="{max(size) / 160:.2f}"/></g>'
    )


def _dashed(objects: Sequence[tuple[str, np.ndarray]], longest: int) -> str:
    """Draw true objects with dashes in black and white, which are seen on any photo."""
    if not objects:
        return ""
    groups = []
    for name, box in objects:
        x1, y1, x2, y2 = box.tolist()
        path = f'd="M{x1:.1f} {y1:.1f}H{x2:.1f}V{y2:.1f}H{x1:.1f}Z" fill="none" stroke-width="{longest / 220:.2f}"'
        dashes = f'stroke-dasharray="{longest / 50:.1f}"'
        groups.append(
            f"<g><title>true: {escape(name)}</title>"
            f'<path {path} stroke="#fff"/><path {path} stroke="#000" {dashes}/></g>'
        )
    return f'<g class="truth">{"".join(groups)}</g>'


def _text(name: Name, letters: float) -> str:
    x, y, width = name.left + 0.2 * letters, name.top + 0.95 * letters, name.width - 0.4 * letters
    return (
        f'<text x="{x:.1f}" y="{y:.1f}" textLength="{width:.1f}" lengthAdjust="spacingAndGlyphs" '
        f'font-size="{letters:.1f}" stroke-width="{letters / 5:.1f}">{escape(name.text)}</text>'
    )


def _name(record: Record, row: int, classes: Sequence[str]) -> str:
    if "scores" not in record:
        return ""
    name = classes[int(record["labels"][row]) - 1]
    return f"{name} {record['scores'][row]:.2f}".strip()


def _listed(record: Record, classes: Sequence[str]) -> str:
    """List the best three, for visitors who cannot see the picture."""
    if "scores" not in record or not len(record["scores"]):
        return ""
    best = np.argsort(-record["scores"], kind="stable")[:3]
    return ", the best " + escape(", ".join(_name(record, int(row), classes) for row in best), quote=True)
