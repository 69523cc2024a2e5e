"""Warping of regions to the network's square input (R-CNN App. A, "warp" with context), in bytes.

Each region is stretched, whatever its shape, to `size - 2 * context` pixels per side, and surrounded by `context`
pixels of the image on each side. Pixels beyond the image's border have the mean colour, as in rcnn's `rcnn_im_crop.m`.

N boxes, S the side of a crop.
"""

from functools import lru_cache
from typing import TYPE_CHECKING, Annotated

import cv2
import numpy as np
from pydantic import Field, model_validator

from src.networks.imagenet import MEAN, STD
from src.params import Section

if TYPE_CHECKING:
    import torch
    from torch import Tensor

MEAN_COLOUR = [round(255 * value) for value in MEAN]  # red, green, blue


class Warp(Section):
    """The section `warp`: the size and the context of a warped region, in pixels."""

    size: Annotated[int, Field(ge=63, le=4096)]  # a smaller input leaves nothing for AlexNet's last pooling
    context: Annotated[int, Field(ge=0, le=4096)]

    @model_validator(mode="after")
    def _room(self) -> "Warp":
        if 2 * self.context >= self.size:
            raise ValueError(f"context {self.context} on both sides leaves nothing of size {self.size}")
        return self


def warp(
    image: np.ndarray, boxes: np.ndarray, *, size: int, context: int = 0, flipped: np.ndarray | None = None
) -> np.ndarray:
    """Crop the boxes with bilinear interpolation and without antialiasing, as rcnn's `rcnn_im_crop.m` does.

    The centre of pixel i of a crop is at (i + 0.5) / size of its side. A pixel whose centre lies in the image, which
    reaches from 0 to W and from 0 to H, is interpolated from pixels of the image alone, so it does not fade at the
    border. All other pixels have exactly the mean colour.

    Args:
        image: uint8 [H, W, 3], RGB.
        boxes: [N, 4], pixels of the image; they may reach beyond it.
        size: side S of the crops.
        context: pixels around the box, on each side of a crop.
        flipped: bool [N], True for crops to mirror; None mirrors none.

    Returns:
        uint8 [N, S, S, 3]; N may be 0.
    """
    crops = np.empty((len(boxes), size, size, 3), np.uint8)
    steps = (np.arange(size) + 0.5) / size - 0.5
    corners = np.asarray(boxes, np.float64).reshape(-1, 2, 2)  # box, corner, axis
    side = (corners[:, 1] - corners[:, 0]) * (size / (size - 2 * context))
    at = corners.mean(1)[..., None] + side[..., None] * steps  # [N, 2, S], from the image's corner
    inside = (at >= 0) & (at < np.array([[image.shape[1]], [image.shape[0]]]))
    first, num = inside.argmax(2), inside.sum(2)  # the pixels within the image lie side by side
    for crop, places, scale, (left, top), (columns, rows) in zip(crops, at, side / size, first, num, strict=True):
        if columns and rows:
            start = np.array([places[0, left], places[1, top]])
            part = _stretch(image, start, scale, (int(columns), int(rows)))
            below, right = size - top - rows, size - left - columns
            crop[:] = cv2.copyMakeBorder(part, top, below, left, right, cv2.BORDER_CONSTANT, value=MEAN_COLOUR)
        else:
            crop[:] = MEAN_COLOUR
    if flipped is not None:
        crops[flipped] = crops[flipped][:, :, ::-1]
    return crops


def _stretch(image: np.ndarray, start: np.ndarray, scale: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    """Sample `size` (columns, rows) points of the image that are `scale` (x, y) apart, the first at `start`."""
    # The samples' own part of the image: OpenCV computes positions in single precision, too coarse for a wide photo.
    first = start - 0.5  # OpenCV counts from the centre of a pixel
    left, top = np.maximum(np.floor(first), 0).astype(int)
    right, bottom = np.floor(first + scale * (np.array(size) - 1)).astype(int) + 2
    part = image[top:bottom, left:right]
    (dx, dy), (x, y) = scale, first - (left, top)
    return cv2.warpAffine(
        part,
        np.array([[dx, 0, x], [0, dy, y]]),
        size,
        flags=cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP,
        borderMode=cv2.BORDER_REPLICATE,
    )


def normalize(crops: "Tensor") -> "Tensor":
    """Normalise RGB bytes with ImageNet's mean and deviation, on their device.

    Args:
        crops: uint8 [N, S, S, 3]; N may be 0.

    Returns:
        float [N, 3, S, S], channels last in memory. The mean colour is 0, up to the rounding of its bytes.
    """
    width = crops.shape[2]
    factor, offset = _normalisation(width, crops.device)
    pixels = crops.flatten(2).float().mul_(factor).sub_(offset)
    return pixels.unflatten(2, (width, 3)).permute(0, 3, 1, 2)


@lru_cache
def _normalisation(width: int, device: "torch.device") -> "tuple[Tensor, Tensor]":
    """Return the factor and the offset of each value in a row of pixels, [3 * width], made once per device.

    A copy to a GPU for each batch would make Python wait for the batch before. Over the three channels alone, in place
    of a row of pixels, a CPU takes twice as long.
    """
    import torch  # here, not above: a stage that reads its parameters or prints its help does not wait for it

    with torch.inference_mode(False):  # a tensor of the inference mode could not be used in a later training
        mean, std = (torch.tensor(values, device=device) for values in (MEAN, STD))
        return (1 / (255 * std)).repeat(width), (mean / std).repeat(width)
