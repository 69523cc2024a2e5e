"""Annotated pictures: an image with its boxes, classes and scores. N is the number of boxes."""

from collections.abc import Sequence

import cv2
import numpy as np

from src.files.records import Record

# RGB; people with colour blindness can tell these apart (Okabe and Ito 2008)
PALETTE = ((230, 159, 0), (86, 180, 233), (0, 158, 115), (240, 228, 66), (0, 114, 178), (213, 94, 0), (204, 121, 167))
FONT = cv2.FONT_HERSHEY_SIMPLEX
INK, PAPER = (0, 0, 0), (255, 255, 255)


def colour(label: int) -> tuple[int, int, int]:
    """Return the RGB colour of a label, which is 1 or more; after the last colour, the first comes again."""
    return PALETTE[(label - 1) % len(PALETTE)]


def above(record: Record, score_thresh: float) -> Record:
    """Return the detections with a score above `score_thresh`."""
    kept = record["scores"] > score_thresh
    return {name: values[kept] for name, values in record.items()}


def draw_detections(image: np.ndarray, record: Record, classes: Sequence[str]) -> np.ndarray:
    """Return a copy of an RGB image [H, W, 3] with boxes, classes and scores, the best on top.

    Args:
        image: uint8.
        record: boxes [N, 4], labels [N] from 1, scores [N]; N may be 0.
        classes: label k is `classes[k - 1]`.
    """
    picture = image.copy()
    line, size = _pens(image)
    for row in np.argsort(record["scores"], kind="stable"):
        label = int(record["labels"][row])
        x1, y1, x2, y2 = record["boxes"][row].round().astype(int).tolist()
        cv2.rectangle(picture, (x1, y1), (x2 - 1, y2 - 1), colour(label), line)
        _write(picture, f"{classes[label - 1]} {record['scores'][row]:.2f}", (x1, y1), size, colour(label))
    return picture


def draw_classes(image: np.ndarray, probabilities: np.ndarray, classes: Sequence[str], count: int = 3) -> np.ndarray:
    """Return a copy of an RGB image [H, W, 3] above a white strip with the `count` most probable classes.

    A copy of an image narrower than 160 pixels is enlarged by a whole factor to at least that width.
    """
    factor = max(1, -(-160 // image.shape[1]))
    picture = cv2.resize(image, None, fx=factor, fy=factor, interpolation=cv2.INTER_NEAREST)
    _, size = _pens(picture)
    step = round(30 * size) + 4
    best = np.argsort(-probabilities, kind="stable")[:count]
    strip = np.full((step * len(best) + 6, picture.shape[1], 3), 255, np.uint8)
    for row, label in enumerate(best):
        _write(strip, f"{classes[label]} {probabilities[label]:.2f}", (2, (row + 1) * step), size, PAPER)
    return np.concatenate([picture, strip])


def _pens(image: np.ndarray) -> tuple[int, float]:
    """Return the thickness of lines in pixels and the scale of the letters, both from the longer side."""
    longest = max(image.shape[:2])
    return max(1, round(longest / 300)), max(0.4, longest / 1000)


def _write(picture: np.ndarray, text: str, corner: tuple[int, int], size: float, paper: tuple[int, int, int]) -> None:
    """Write text on `paper` with its lower left corner at `corner`, or moved so that it lies within the picture."""
    (width, height), below = cv2.getTextSize(text, FONT, size, 1)
    x = max(0, min(corner[0], picture.shape[1] - width))
    y = max(height + 2, min(corner[1] - below, picture.shape[0] - below))
    cv2.rectangle(picture, (x, y - height - 2), (x + width, y + below), paper, -1)
    cv2.putText(picture, text, (x, y), FONT, size, INK, 1, cv2.LINE_AA)
