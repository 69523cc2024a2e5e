"""Warping of regions to the network's square input (R-CNN App. A, "warp" with context), in batches on any device.

Each region is stretched, whatever its shape, to `size - 2 * context` pixels per side, and surrounded by `context`
pixels of the image on each side. Pixels beyond the image's border have the mean colour, which is 0 in a normalised
image.
"""

from typing import Annotated

import torch
from pydantic import Field, model_validator
from torch import Tensor
from torch.nn.functional import grid_sample

from src.networks.imagenet import MEAN, STD
from src.params import Section


class Warp(Section):
    """The section `warp`: the size and the context of a warped region, in pixels."""

    size: Annotated[int, Field(ge=63)]  # a smaller input leaves nothing for AlexNet's last pooling
    context: Annotated[int, Field(ge=0)]

    @model_validator(mode="after")
    def _room(self) -> "Warp":
        if 2 * self.context >= self.size:
            raise ValueError(f"context {self.context} on both sides leaves nothing of size {self.size}")
        return self


def normalize(image: Tensor) -> Tensor:
    """Normalise RGB uint8 [3, H, W] to floats with ImageNet's mean and deviation, so that the mean colour is 0."""
    mean, std = (torch.tensor(values, device=image.device)[:, None, None] for values in (MEAN, STD))
    # (image / 255 - mean) / std in two passes instead of three: warping a batch spends a tenth of its time here.
    return (image * (1 / (255 * std))).sub_(mean / std)


def warp(image: Tensor, boxes: Tensor, *, size: int, context: int = 0, flipped: Tensor | None = None) -> Tensor:
    """Crop the boxes with bilinear interpolation and without antialiasing, as rcnn's `rcnn_im_crop.m` does.

    Args:
        image: [3, H, W], normalised.
        boxes: [N, 4], pixels of the image.
        size: side of the crops.
        context: pixels around the box, on each side of a crop.
        flipped: bool [N], True for crops to mirror; None mirrors none.

    Returns:
        [N, 3, size, size]; N may be 0.
    """
    if len(boxes) == 0:
        return image.new_zeros(0, 3, size, size)
    height, width = image.shape[1:]
    scale = size / (size - 2 * context)
    steps = (torch.arange(size, device=image.device) + 0.5) / size - 0.5  # centres of the crop's pixels, -0.5..0.5
    centre = (boxes[:, :2] + boxes[:, 2:]) / 2
    side = (boxes[:, 2:] - boxes[:, :2]) * scale
    x = centre[:, :1] + side[:, :1] * steps  # [N, size]
    y = centre[:, 1:] + side[:, 1:] * steps
    if flipped is not None:
        x = torch.where(flipped[:, None], x.flip(1), x)
    grid = torch.stack(torch.broadcast_tensors(2 * x[:, None, :] / width - 1, 2 * y[:, :, None] / height - 1), dim=-1)
    return grid_sample(image.expand(len(boxes), -1, -1, -1), grid, align_corners=False)
