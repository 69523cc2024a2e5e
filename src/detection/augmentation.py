"""SSD's augmentation (Liu et al. 2016, Sec. 2.2, 3.6), made of torchvision's transforms v2.

The published code's crop never applies its condition on the overlap (ssd.pytorch#68). torchvision's crop does: it must
have the randomly chosen IoU with at least one object, and keeps the objects whose centre lies in it.
"""

from collections.abc import Mapping
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torchvision import tv_tensors
from torchvision.transforms import v2

from src.detection.sizes import Size
from src.networks.imagenet import MEAN, normalise
from src.params import Fraction, Section


class Augment(Section):
    """The augmentation of training images: each step has a probability, or is on or off."""

    photometric: bool
    zoom_out: Fraction
    crop: bool
    flip: Fraction


Pair = tuple[Tensor, dict[str, Tensor]]  # an image with its objects


def fixed_steps(size: Size, augment: Augment | None = None) -> v2.Transform:
    """Return the step that is the same in every epoch: the resizing, unless a crop or a zoom comes before it."""
    return v2.Identity() if _moves(augment) else _resize(size)


def random_steps(size: Size, augment: Augment | None = None) -> v2.Transform:
    """Return the random steps for an image of a batch; without `augment` (validation, test) there are none.

    Differs: colours are distorted last, on the small image; the published code does it first, on many more pixels.
    """
    if augment is None:
        return v2.Identity()
    steps: list[v2.Transform] = []
    if augment.zoom_out:
        steps.append(v2.RandomZoomOut(fill=[round(255 * value) for value in MEAN], p=augment.zoom_out))
    steps += [v2.RandomIoUCrop()] if augment.crop else []
    steps += [v2.RandomHorizontalFlip(augment.flip)] if augment.flip else []
    steps += [_resize(size)] if _moves(augment) else []
    steps += [v2.RandomPhotometricDistort()] if augment.photometric else []
    return v2.Compose(steps) if steps else v2.Identity()


def transform(size: Size) -> v2.Transform:
    """Return the steps from an image with its boxes to the network's input, without augmentation and padding."""
    return v2.Compose([fixed_steps(size), normalise()])


def _moves(augment: Augment | None) -> bool:
    return augment is not None and bool(augment.crop or augment.zoom_out)


def _resize(size: Size) -> v2.Transform:
    square = size.longest is None
    resize = v2.Resize([size.side] * (2 if square else 1), max_size=size.longest, antialias=True)
    return v2.Compose([resize, v2.SanitizeBoundingBoxes(labels_getter=_labels)])


def _labels(inputs: Any) -> Tensor:
    return inputs[1]["labels"]


def pair(image: np.ndarray, target: Mapping[str, np.ndarray]) -> Pair:
    """Wrap an image and its objects as the steps take them.

    Args:
        image: RGB, uint8 [H, W, 3].
        target: `boxes` [M, 4] and `labels` [M]; M may be 0.
    """
    boxes = tv_tensors.BoundingBoxes(target["boxes"], format="XYXY", canvas_size=image.shape[:2])
    picture = tv_tensors.Image(torch.from_numpy(image).permute(2, 0, 1))
    return picture, {"boxes": boxes, "labels": torch.from_numpy(target["labels"])}


def plain_tensors(augmented: Pair) -> Pair:
    """Return image [3, H, W] and {boxes [K, 4], labels [K]} as plain tensors; K <= M, since a crop may lose objects."""
    image, objects = augmented
    boxes = objects["boxes"].as_subclass(Tensor).float()
    return image.as_subclass(Tensor), {"boxes": boxes, "labels": objects["labels"]}


def apply(steps: v2.Transform, image: np.ndarray, target: Mapping[str, np.ndarray]) -> Pair:
    """Apply the steps to an image and its objects."""
    return plain_tensors(steps(*pair(image, target)))
