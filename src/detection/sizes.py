"""The size of a dense detector's input: the scaling of images, batches of them, and the way back to their pixels."""

from collections.abc import Sequence
from typing import Any, NamedTuple

import torch
from torch import Tensor

STRIDE = 32  # pixels: padded inputs are a multiple of it, so that every map has whole cells


class Size(NamedTuple):
    """The rule that scales an image to the input.

    Attributes:
        side: pixels of the square input's side, or of the shorter side if there is a `longest`.
        longest: largest number of pixels of the longer side, in which case the aspect ratio is kept; None: a square.
    """

    side: int
    longest: int | None = None

    @property
    def largest(self) -> tuple[int, int]:
        """The shorter and the longer side of the largest input."""
        return self.side, self.longest or self.side

    @property
    def words(self) -> str:
        """The rule in words, for a reader."""
        if self.longest is None:
            return f"{self.side} x {self.side} pixels"
        return f"a shorter side of {self.side} and a longer one of at most {self.longest} pixels"

    def scaled(self, size: tuple[int, int]) -> tuple[int, int]:
        """Return (height, width) of the input for an image of `size` (height, width), as torchvision's Resize.

        Neither is less than 1, unlike torchvision's for an image that is 1000 times as long as it is wide.
        """
        if self.longest is None:
            return self.side, self.side
        short, long = min(size), max(size)
        new_short, new_long = self.side, int(self.side * long / short)
        if new_long > self.longest:
            new_short, new_long = max(1, int(self.longest * new_short / new_long)), self.longest
        return (new_short, new_long) if size[0] <= size[1] else (new_long, new_short)


def size_of(model: Any) -> Size:
    """Return the rule in a detector's section `model`: its `size`, and its `longest` if it has this key."""
    return Size(model.size, getattr(model, "longest", None))


def stacked(images: Sequence[Tensor], size: Size, others: Sequence[tuple[int, int]] = ()) -> Tensor:
    """Put normalised images [3, H, W] into one batch [B, 3, H, W].

    With `longest`, images are padded at the right and at the bottom with the mean colour, which is 0, to the largest
    height and width of the batch, rounded up to `STRIDE`. `others` are (height, width) of the images of the batch that
    other processes have.
    """
    if size.longest is None:
        return torch.stack(list(images))
    shapes = [*(tuple(image.shape[1:]) for image in images), *others]
    height, width = (-(-max(shape[axis] for shape in shapes) // STRIDE) * STRIDE for axis in (0, 1))
    batch = images[0].new_zeros(len(images), 3, height, width)
    for row, image in zip(batch, images, strict=True):
        row[:, : image.shape[1], : image.shape[2]] = image
    return batch


def rescaled(boxes: Tensor, seen: tuple[int, int], size: tuple[int, int]) -> Tensor:
    """Convert boxes [N, 4] from pixels of the input to pixels of the image.

    Args:
        boxes: in pixels of the input; N may be 0.
        seen: (height, width) of the image in the input, without padding.
        size: (height, width) of the image.
    """
    return boxes * boxes.new_tensor([size[1] / seen[1], size[0] / seen[0]] * 2)
