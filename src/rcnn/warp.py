"""Regions warped to the network's square input (R-CNN App. A, "warp" with context), a batch at a time on any device.

Each region is stretched, whatever its shape, to `size - 2 * context` pixels a side, with `context` pixels of what
surrounds it on each side. Beyond the image's border lies the mean colour, which is 0 in a normalised image.
"""

from typing import Annotated

import torch
from pydantic import Field, model_validator
from torch import Tensor
from torch.nn.functional import grid_sample

from src.networks.imagenet import MEAN, STD
from src.params import Section


class Warp(Section):
    """How a region becomes the network's input."""

    size: Annotated[int, Field(ge=63)]  # AlexNet's last pooling has nothing left of less
    context: Annotated[int, Field(ge=0)]

    @model_validator(mode="after")
    def _room(self) -> "Warp":
        if 2 * self.context >= self.size:
            raise ValueError(f"context {self.context} on both sides leaves nothing of size {self.size}")
        return self


def normalize(image: Tensor) -> Tensor:
    """RGB uint8 [3, H, W] as float with ImageNet's mean and deviation, so that the mean colour is 0."""
    mean, std = (torch.tensor(values, device=image.device)[:, None, None] for values in (MEAN, STD))
    # (image / 255 - mean) / std in two passes instead of three: a batch of crops spends a tenth of its time here.
    return (image * (1 / (255 * std))).sub_(mean / std)


def warp(image: Tensor, boxes: Tensor, *, size: int, context: int = 0, flipped: Tensor | None = None) -> Tensor:
    """Crops of the boxes, sampled bilinearly without antialiasing, as in rcnn's `rcnn_im_crop.m`.

    Args:
        image: [3, H, W], normalised.
        boxes: [N, 4], pixels of the image.
        size: side of the crops.
        context: pixels of a crop, on each side, that lie around the box.
        flipped: True [N] for crops to be mirrored.

    Returns:
        [N, 3, size, size]; [0, 3, size, size] for no box.
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
