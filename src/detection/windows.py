"""The window of a photo that SSD's zoom-out and crop choose, and the network's input that is made of it.

The steps only compute numbers: a zoom-out is a window around the photo, and a crop is a window in that window. Then the
part of the photo that is seen is resized once to its place on the input. So no canvas of 16 times the photo's area is
ever painted, and colours are distorted on the photo alone. All random numbers come from PyTorch's generator.
"""

from collections.abc import Callable, Sequence
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor
from torchvision.transforms.v2 import functional

from src.boxes.overlap import iou

LARGEST_ZOOM = 4.0  # sides of the canvas relative to the photo's; SSD Sec. 3.6: 16 times the area
OVERLAPS = 0.0, 0.1, 0.3, 0.5, 0.7, 0.9  # smallest IoU of a crop with an object; as often the crop is the whole image
SCALES = 0.3, 1.0  # sides of a crop relative to the image's; see `crop`
LARGEST_RATIO = 2.0  # of the longer side of a crop to the shorter one
TRIALS = 40  # crops that are tried before another overlap is drawn


class Window(NamedTuple):
    """A rectangle in whole pixels of a photo; it may reach beyond the photo."""

    x1: int
    y1: int
    x2: int
    y2: int


def zoom_out(height: int, width: int) -> Window:
    """Draw a window around a photo that is 1 to 4 times as wide and high (SSD Sec. 3.6)."""
    scale, left, top = torch.rand(3).tolist()
    scale = 1 + (LARGEST_ZOOM - 1) * scale
    wide, high = int(width * scale), int(height * scale)
    x1, y1 = -int((wide - width) * left), -int((high - height) * top)
    return Window(x1, y1, x1 + wide, y1 + high)


def crop(window: Window, boxes: Tensor) -> Window:
    """Draw a crop of a window (SSD Sec. 2.2).

    Either the whole window is taken, or a smallest overlap is drawn. A crop is taken if the centre of an object lies in
    it and if its IoU with such an object is the smallest overlap or more. If none of 40 crops is taken, the choice is
    made again. The rule and its distribution are those of torchvision's `RandomIoUCrop`. ssd.pytorch never applies its
    condition on the overlap (its issue 68).

    Differs: the sides of a crop are 0.3 to 1 of the window's, as in the released code; the paper says 0.1 to 1.

    Args:
        window: of which a part is chosen.
        boxes: [M, 4], the objects of the photo; without any, the window stays whole.
    """
    if not len(boxes):
        return window
    origin = torch.tensor([window.x1, window.y1])
    sides = torch.tensor([window.x2, window.y2]) - origin
    centres = (boxes[:, :2] + boxes[:, 2:]) / 2
    while True:
        choice = int(torch.randint(len(OVERLAPS) + 1, ()))
        if choice == len(OVERLAPS):
            return window
        draws = torch.rand(TRIALS, 4)
        chosen = (sides * (SCALES[0] + (SCALES[1] - SCALES[0]) * draws[:, :2])).long()
        start = origin + ((sides - chosen) * draws[:, 2:]).long()
        end = start + chosen
        kept = ((centres > start[:, None]) & (centres < end[:, None])).all(dim=2)  # [TRIALS, M]
        overlaps = iou(torch.cat([start, end], dim=1).to(boxes.dtype), boxes).masked_fill(~kept, -1)
        fits = (overlaps.amax(dim=1) >= OVERLAPS[choice]) & (chosen.amax(1) <= LARGEST_RATIO * chosen.amin(1))
        if fits.any():
            best = int(fits.nonzero()[0])
            return Window(*start[best].tolist(), *end[best].tolist())


def inside(window: Window, boxes: Tensor) -> Tensor:
    """Return bool [M]: the centre of the box [M, 4] lies in the window."""
    centres = (boxes[:, :2] + boxes[:, 2:]) / 2
    return ((centres > centres.new_tensor(window[:2])) & (centres < centres.new_tensor(window[2:]))).all(dim=1)


def render(
    photo: Tensor,
    window: Window,
    size: tuple[int, int],
    fill: Sequence[int],
    change: Callable[[np.ndarray], np.ndarray] | None = None,
) -> tuple[Tensor, Tensor, Tensor]:
    """Make the network's input of a window of a photo.

    Args:
        photo: uint8 [3, H, W].
        window: with a part of the photo in it.
        size: height and width of the input.
        fill: the colour outside the photo, 3 bytes.
        change: takes and returns the part of the photo that is seen, at its size on the input: uint8 [h, w, 3].

    Returns:
        the input, uint8 [3, *size], and `scale` and `shift` [4]: a box of the photo is `box * scale + shift` on the
        input. The photo's place is rounded to whole pixels, and the boxes move with it.
    """
    height, width = photo.shape[-2:]
    columns = _seen(window.x1, window.x2, width, size[1])
    rows = _seen(window.y1, window.y2, height, size[0])
    part = photo[:, rows.start : rows.end, columns.start : columns.end]
    part = functional.resize(part, [rows.to - rows.at, columns.to - columns.at], antialias=True).permute(1, 2, 0)
    seen = np.ascontiguousarray(part.numpy())
    if change is not None:
        seen = change(seen)
    canvas = seen
    if seen.shape[:2] != size:
        canvas = np.empty((*size, 3), np.uint8)
        canvas[:] = fill
        canvas[rows.at : rows.to, columns.at : columns.to] = seen
    scale = torch.tensor([columns.scale, rows.scale] * 2)
    shift = torch.tensor([columns.at - columns.start * columns.scale, rows.at - rows.start * rows.scale] * 2)
    return torch.from_numpy(canvas).permute(2, 0, 1), scale, shift


class _Seen(NamedTuple):
    """The part of a photo that is seen along one axis: its pixels `start` to `end`, at the pixels `at` to `to`."""

    start: int
    end: int
    at: int
    to: int

    @property
    def scale(self) -> float:
        return (self.to - self.at) / (self.end - self.start)


def _seen(first: int, last: int, length: int, size: int) -> _Seen:
    start, end = max(first, 0), min(last, length)
    at, to = (round((edge - first) * size / (last - first)) for edge in (start, end))
    at = min(at, size - 1)
    return _Seen(start, end, at, max(to, at + 1))
