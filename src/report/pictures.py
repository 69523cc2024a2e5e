"""Small pictures for the page: an image with boxes on it, as a data URI.

Ground-truth boxes are white, correct detections blue, mistakes orange, and proposals yellow. Boxes of objects are
dashed, and boxes that a method gave are solid: an object that was missed is orange and dashed.
"""

import base64
from collections.abc import Iterable, Sequence
from typing import NamedTuple

import cv2
import numpy as np

SIDE = 300  # pixels of the longer side of a picture with boxes
QUALITY = 70  # quality of WebP, 0..100
TRUE, RIGHT, WRONG, LOST, PLAIN = "true", "right", "wrong", "lost", "plain"
COLOURS = {TRUE: (255, 255, 255), RIGHT: (86, 180, 233), WRONG: (255, 130, 20), PLAIN: (240, 228, 66)}  # RGB
COLOURS[LOST] = COLOURS[WRONG]
DASHED = (TRUE, LOST)
DASH = 6  # pixels


class Drawn(NamedTuple):
    """A box to draw."""

    box: Sequence[float] | np.ndarray  # [4], pixels of the image
    look: str  # a key of COLOURS
    text: str = ""


def with_boxes(image: np.ndarray, boxes: Iterable[Drawn], side: int = SIDE) -> tuple[str, tuple[int, int]]:
    """Resize an image, and draw boxes on it in their order.

    Args:
        image: RGB uint8 [H, W, 3].
        boxes: clipped to the image.
        side: pixels of the longer side.

    Returns:
        A data URI, and (height, width) of the picture.
    """
    scale = side / max(image.shape[:2])
    size = tuple(max(1, round(length * scale)) for length in image.shape[:2])
    interpolation = cv2.INTER_AREA if scale < 1 else cv2.INTER_CUBIC
    canvas = cv2.resize(image, size[::-1], interpolation=interpolation)
    boxes = list(boxes)
    for drawn in boxes:
        _draw_box(canvas, drawn, scale)
    for drawn in boxes:  # after all boxes, so that no box crosses a text
        _draw_text(canvas, drawn, scale)
    return data_uri(canvas), (size[0], size[1])


def data_uri(image: np.ndarray) -> str:
    """Encode an RGB image as WebP in a data URI."""
    success, content = cv2.imencode(".webp", image[..., ::-1], [cv2.IMWRITE_WEBP_QUALITY, QUALITY])
    assert success, "OpenCV encodes every uint8 image"
    return "data:image/webp;base64," + base64.b64encode(content.tobytes()).decode()


def _draw_box(canvas: np.ndarray, drawn: Drawn, scale: float) -> None:
    (x1, y1), (x2, y2) = _corners(canvas, drawn, scale)
    ends = [((x1, y1), (x2, y1)), ((x2, y1), (x2, y2)), ((x1, y2), (x2, y2)), ((x1, y1), (x1, y2))]
    for start, end in ends:  # a black line below, so that the box is visible on any background
        cv2.line(canvas, start, end, (0, 0, 0), 4)
    for start, end in ends:
        for piece in _dashes(start, end) if drawn.look in DASHED else [(start, end)]:
            cv2.line(canvas, *piece, COLOURS[drawn.look], 2)


def _draw_text(canvas: np.ndarray, drawn: Drawn, scale: float) -> None:
    if not drawn.text:
        return
    (x1, y1), _ = _corners(canvas, drawn, scale)
    font, letter = cv2.FONT_HERSHEY_SIMPLEX, 0.42
    (width, height), base = cv2.getTextSize(drawn.text, font, letter, 1)
    x = max(0, min(x1, canvas.shape[1] - width - 4))
    y = max(height + base, y1) if y1 > height else min(y1 + height + base + 2, canvas.shape[0] - 1)
    cv2.rectangle(canvas, (x, y - height - base), (x + width + 4, y), (0, 0, 0), -1)
    cv2.putText(canvas, drawn.text, (x + 2, y - base + 1), font, letter, COLOURS[drawn.look], 1, cv2.LINE_AA)


def _corners(canvas: np.ndarray, drawn: Drawn, scale: float) -> tuple[tuple[int, int], tuple[int, int]]:
    limits = np.array([canvas.shape[1], canvas.shape[0]] * 2) - 2
    x1, y1, x2, y2 = np.clip(np.round(np.asarray(drawn.box, np.float64) * scale), 1, limits).astype(int).tolist()
    return (x1, y1), (x2, y2)


def _dashes(start: tuple[int, int], end: tuple[int, int]) -> list[tuple[tuple[int, int], tuple[int, int]]]:
    (x1, y1), (x2, y2) = start, end
    length = max(x2 - x1, y2 - y1, 1)
    marks = [
        (x1 + (x2 - x1) * step // length, y1 + (y2 - y1) * step // length)
        for step in sorted({*range(0, length, DASH), length})
    ]
    return list(zip(marks[::2], marks[1::2], strict=False))
