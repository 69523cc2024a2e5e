"""SSD's augmentation (Liu et al. 2016, Sec. 2.2, 3.6) as steps for an image with its objects.

The published order is: colours, zoom-out, crop, mirror, resize. The steps have nearly the same effect in a cheaper
order: first the window that zoom-out and crop choose (`src.detection.windows`), then the colours of what is seen of the
photo, at its size on the input.
"""

from collections.abc import Mapping
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torchvision import tv_tensors
from torchvision.transforms import v2
from torchvision.transforms.v2 import functional

from src.boxes.geometry import clip
from src.detection.colours import distort, draws
from src.detection.sizes import Size
from src.detection.windows import Window, crop, inside, render, zoom_out
from src.networks.imagenet import MEAN, normalise
from src.params import Fraction, Section

PROPOSAL = 0  # label of a box that is no object, but a proposal, which the steps move like one
FILL = [round(255 * value) for value in MEAN]  # around a photo that is zoomed out


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
    """Return the random steps for an image of a batch; without `augment` (validation, test) there are none."""
    if augment is None:
        return v2.Identity()
    steps: list[Any] = []
    if _moves(augment):
        steps.append(Moved(size, augment))
    elif augment.photometric:
        steps.append(_distorted)
    steps += [v2.RandomHorizontalFlip(augment.flip)] if augment.flip else []
    return v2.Compose(steps) if steps else v2.Identity()


class Moved:
    """The step that zooms out, crops, resizes, and distorts the colours of the photo, but not those around it.

    An object stays if its centre is in the crop and its box has a pixel at least on the input.
    """

    def __init__(self, size: Size, augment: Augment) -> None:
        self.size, self.augment = size, augment

    def __call__(self, image: Tensor, objects: dict[str, Tensor]) -> Pair:
        """Return the input [3, H, W] and its objects, of an image uint8 [3, H, W] and its objects."""
        boxes = objects["boxes"].as_subclass(Tensor)
        window = _window(self.augment, tuple(image.shape[-2:]), boxes[objects["labels"] != PROPOSAL])
        change = distort if self.augment.photometric else None
        size = self.size.scaled((window.y2 - window.y1, window.x2 - window.x1))
        picture, scale, shift = render(image.as_subclass(Tensor), window, size, FILL, change)
        moved = clip(boxes * scale + shift, size)
        kept = inside(window, boxes) & ((moved[:, 2:] - moved[:, :2]).amin(dim=1) >= 1)
        return _pair(picture, moved[kept], objects["labels"][kept])


def passed_over(size: Size, augment: Augment | None, shape: tuple[int, int], boxes: Tensor) -> tuple[int, int]:
    """Draw the numbers that `random_steps` draws for an image, and leave the image out: another process has it.

    Args:
        size: the rule of the input's size.
        augment: the augmentation.
        shape: (height, width) of the image in its file.
        boxes: [M, 4], its objects in its pixels, without proposals.

    Returns:
        (height, width) of the image in the input.
    """
    if augment is not None:
        if _moves(augment):
            window = _window(augment, shape, boxes)
            shape = window.y2 - window.y1, window.x2 - window.x1
        if augment.photometric:
            draws()
        if augment.flip:
            torch.rand(1)  # of RandomHorizontalFlip
    return size.scaled(shape)


def _window(augment: Augment, shape: tuple[int, ...], boxes: Tensor) -> Window:
    """Draw the window of an image of `shape` (height, width) with objects [M, 4]."""
    height, width = shape
    window = Window(0, 0, width, height)
    if torch.rand(()) < augment.zoom_out:
        window = zoom_out(height, width)
    return crop(window, boxes) if augment.crop else window


def _distorted(image: Tensor, objects: dict[str, Tensor]) -> Pair:
    changed = distort(np.ascontiguousarray(image.permute(1, 2, 0).numpy()))
    return _pair(torch.from_numpy(changed).permute(2, 0, 1), objects["boxes"], objects["labels"])


def transform(size: Size) -> v2.Transform:
    """Return the steps from an image with its boxes to the network's input, without augmentation and padding."""
    return v2.Compose([fixed_steps(size), normalise()])


def _moves(augment: Augment | None) -> bool:
    return augment is not None and bool(augment.crop or augment.zoom_out)


def _resize(size: Size) -> v2.Transform:
    return v2.Compose([Resized(size), v2.SanitizeBoundingBoxes(labels_getter=_labels)])


class Resized:
    """The step that resizes as torchvision's `Resize`, which makes no pixel of a very long image."""

    def __init__(self, size: Size) -> None:
        self.size = size

    def __call__(self, image: Tensor, objects: dict[str, Tensor]) -> Pair:
        """Return the image [3, H, W] at its size on the input, with its objects."""
        height, width = image.shape[-2:]
        size = list(self.size.scaled((height, width)))
        boxes = functional.resize(objects["boxes"], size)
        if (objects["labels"] == PROPOSAL).any():  # by a rounding outside, they would be left out
            boxes = functional.clamp_bounding_boxes(boxes)
        return functional.resize(image, size, antialias=True), {**objects, "boxes": boxes}


def _labels(inputs: Any) -> Tensor:
    return inputs[1]["labels"]


def pair(image: np.ndarray, target: Mapping[str, np.ndarray]) -> Pair:
    """Wrap an image and its objects as the steps take them.

    Args:
        image: RGB, uint8 [H, W, 3].
        target: `boxes` [M, 4] and `labels` [M]; M may be 0.
    """
    boxes, labels = torch.from_numpy(target["boxes"]), torch.from_numpy(target["labels"])
    return _pair(torch.from_numpy(image).permute(2, 0, 1), boxes, labels)


def _pair(image: Tensor, boxes: Tensor, labels: Tensor) -> Pair:
    framed = tv_tensors.BoundingBoxes(boxes, format="XYXY", canvas_size=tuple(image.shape[-2:]))
    return tv_tensors.Image(image), {"boxes": framed, "labels": labels}


def plain_tensors(augmented: Pair) -> Pair:
    """Return image [3, H, W] and {boxes [K, 4], labels [K]} as plain tensors; K <= M, since a crop may lose objects."""
    image, objects = augmented
    boxes = objects["boxes"].as_subclass(Tensor).float()
    return image.as_subclass(Tensor), {"boxes": boxes, "labels": objects["labels"]}


def apply(steps: v2.Transform, image: np.ndarray, target: Mapping[str, np.ndarray]) -> Pair:
    """Apply the steps to an image and its objects."""
    return plain_tensors(steps(*pair(image, target)))
