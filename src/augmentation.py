"""What detectors see of an image: SSD's augmentation (Liu et al. 2016, Sec. 2.2, 3.6), of torchvision's transforms v2.

The published code's crop never applies its condition on the overlap (ssd.pytorch#68); torchvision's does: a crop must
have the drawn IoU with at least one object, and keeps the objects whose centre lies in it.
"""

from collections.abc import Mapping
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torchvision import tv_tensors
from torchvision.transforms import v2

from src.imagenet import MEAN, STD
from src.params import Fraction, Section


class Augment(Section):
    """What happens to training images, each with its probability or not at all."""

    photometric: bool
    zoom_out: Fraction
    crop: bool
    flip: Fraction


def transform(size: int, augment: Augment | None = None) -> v2.Compose:
    """The steps from an image with its boxes to the network's square input; None for images that are not trained on.

    Differs: colours are distorted last, on the small image; the published code does it first, on many more pixels.
    """
    steps: list[Any] = []
    colours: list[Any] = []
    if augment is not None:
        mean = [round(255 * value) for value in MEAN]
        colours = [v2.RandomPhotometricDistort()] if augment.photometric else []
        steps += [v2.RandomZoomOut(fill=mean, side_range=(1.0, 4.0), p=augment.zoom_out)] if augment.zoom_out else []
        steps += [v2.RandomIoUCrop()] if augment.crop else []
        steps += [v2.RandomHorizontalFlip(augment.flip)] if augment.flip else []
    steps += [v2.Resize((size, size), antialias=True), v2.SanitizeBoundingBoxes(labels_getter=_others)]
    return v2.Compose([*steps, *colours, v2.ToDtype(torch.float32, scale=True), v2.Normalize(MEAN, STD)])


def _others(inputs: Any) -> Tensor:
    return inputs[1]["labels"]


def apply(steps: v2.Compose, image: np.ndarray, target: Mapping[str, np.ndarray]) -> tuple[Tensor, dict[str, Tensor]]:
    """One image and its objects through the steps.

    Args:
        image: RGB, uint8 [H, W, 3].
        target: `boxes` [M, 4] and `labels` [M]; M may be 0.

    Returns:
        image [3, S, S], normalised, and {boxes [K, 4], labels [K]} of the objects that are left, K at most M.
    """
    boxes = tv_tensors.BoundingBoxes(target["boxes"], format="XYXY", canvas_size=image.shape[:2])
    labels = torch.from_numpy(target["labels"])
    picture = tv_tensors.Image(torch.from_numpy(image).permute(2, 0, 1))
    seen, found = steps(picture, {"boxes": boxes, "labels": labels})
    return seen.as_subclass(Tensor), {"boxes": found["boxes"].as_subclass(Tensor).float(), "labels": found["labels"]}
