"""The area and overlap of boxes, for NumPy arrays and PyTorch tensors: one formula for training and evaluation.

Boxes have the format of src/boxes/geometry.py. N and M are numbers of boxes; `...` are further axes, such as that of a
batch, which both sides share or one of them lacks. The result has the type and the precision of the boxes. This module
is separate from src/boxes/geometry.py because importing torch takes two seconds: a stage that only compares boxes does
not need torch.
"""

import importlib
from typing import TYPE_CHECKING, Any, TypeVar

import numpy as np

if TYPE_CHECKING:
    from torch import Tensor

Boxes = TypeVar("Boxes", np.ndarray, "Tensor")


def area(boxes: Boxes) -> Boxes:
    """Compute the areas of boxes, in square pixels; a box turned inside out has area 0.

    Args:
        boxes: [..., N, 4].

    Returns:
        [..., N].
    """
    sides = (boxes[..., 2:] - boxes[..., :2]).clip(min=0)
    return sides[..., 0] * sides[..., 1]


def iou(boxes1: Boxes, boxes2: Boxes) -> Boxes:
    """Compute the intersection over union of every pair of boxes.

    Args:
        boxes1: [..., N, 4].
        boxes2: [..., M, 4].

    Returns:
        [..., N, M] in 0..1 for finite boxes; 0 if both have no area; N or M is 0 if there are no boxes on that side.

    >>> iou(np.array([[0.0, 0, 2, 2]]), np.array([[1.0, 0, 3, 2]])).round(4)  # 2 shared of 6
    array([[0.3333]])
    """
    library = _library(boxes1)
    overlaps = _shared(boxes1, boxes2, 0, library)
    overlaps *= _shared(boxes1, boxes2, 1, library)  # in place: large arrays cost more than the arithmetic
    union = area(boxes1)[..., :, None] + area(boxes2)[..., None, :]
    union -= overlaps
    overlaps /= library.clip(union, library.finfo(union.dtype).tiny, None, out=union)
    return overlaps


def _shared(boxes1: Boxes, boxes2: Boxes, axis: int, library: Any) -> Boxes:
    """Return the length [..., N, M] that each pair shares along x (axis 0) or y (axis 1).

    One axis at a time: an array [N, M, 2] of both takes two to three times as long.
    """
    shared: Boxes = library.minimum(boxes1[..., :, None, axis + 2], boxes2[..., None, :, axis + 2])
    shared -= library.maximum(boxes1[..., :, None, axis], boxes2[..., None, :, axis])
    library.clip(shared, 0, None, out=shared)
    return shared


def _library(boxes: Any) -> Any:
    """Return the module whose functions take these boxes: numpy or torch. For tensors, torch is already imported."""
    return np if isinstance(boxes, np.ndarray) else importlib.import_module("torch")
