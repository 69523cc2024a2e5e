"""Box geometry: overlap, regression deltas, clipping.

Boxes are float32 `[x1, y1, x2, y2]` in absolute pixels, half-open, so a width is `x2 - x1` with no `+ 1` anywhere.
N, M count boxes. NMS is `torchvision.ops.batched_nms`, called where it is needed.
"""

import math

import torch
from torch import Tensor

# exp(dw) of a wild regression must not overflow: a box grows by at most 1000 / 16, as in Detectron.
MAX_LOG_SCALE = math.log(1000.0 / 16)


def area(boxes: Tensor) -> Tensor:
    """Areas of boxes, in square pixels; a box turned inside out has area 0.

    Args:
        boxes: [N, 4].

    Returns:
        [N].
    """
    sides = (boxes[:, 2:] - boxes[:, :2]).clamp(min=0)
    return sides[:, 0] * sides[:, 1]


def iou(boxes1: Tensor, boxes2: Tensor) -> Tensor:
    """Intersection over union of every pair.

    Args:
        boxes1: [N, 4].
        boxes2: [M, 4].

    Returns:
        [N, M] in 0..1; 0 where both boxes have no area; [N, 0] or [0, M] where a side is empty.

    >>> iou(torch.tensor([[0.0, 0, 2, 2]]), torch.tensor([[1.0, 0, 3, 2]]))  # 2 shared of 6
    tensor([[0.3333]])
    """
    intersection = _intersection(boxes1, boxes2)
    union = area(boxes1)[:, None] + area(boxes2)[None, :] - intersection
    return torch.where(union > 0, intersection / union.clamp(min=torch.finfo(union.dtype).tiny), 0.0)


def _intersection(boxes1: Tensor, boxes2: Tensor) -> Tensor:
    top_left = torch.maximum(boxes1[:, None, :2], boxes2[None, :, :2])  # [N, M, 2]
    bottom_right = torch.minimum(boxes1[:, None, 2:], boxes2[None, :, 2:])
    return (bottom_right - top_left).clamp(min=0).prod(dim=2)


def encode(proposals: Tensor, gt_boxes: Tensor) -> Tensor:
    """Regression targets that move each proposal onto its true box (Girshick et al. 2014, App. C, Eq. 6-9).

    Args:
        proposals: [N, 4], each with a width and a height above 0.
        gt_boxes: [N, 4], row by row the target of each proposal.

    Returns:
        deltas [N, 4]: `tx, ty` in units of the proposal's side, `tw, th` as logarithms of the ratio of sides.

    >>> encode(torch.tensor([[0.0, 0, 10, 10]]), torch.tensor([[5.0, 0, 15, 10]]))  # half a width to the right
    tensor([[0.5000, 0.0000, 0.0000, 0.0000]])
    """
    centre, side = _centre_form(proposals)
    gt_centre, gt_side = _centre_form(gt_boxes)
    return torch.cat([(gt_centre - centre) / side, torch.log(gt_side / side)], dim=1)


def decode(proposals: Tensor, deltas: Tensor) -> Tensor:
    """Boxes that deltas make of proposals (App. C, Eq. 1-4); the inverse of `encode`.

    Args:
        proposals: [N, 4].
        deltas: [N, 4].

    Returns:
        boxes [N, 4], not clipped to any image. Growth is limited to a factor of 62.5 a side.
    """
    centre, side = _centre_form(proposals)
    new_centre = centre + deltas[:, :2] * side
    half = side * torch.exp(deltas[:, 2:].clamp(max=MAX_LOG_SCALE)) / 2
    return torch.cat([new_centre - half, new_centre + half], dim=1)


def _centre_form(boxes: Tensor) -> tuple[Tensor, Tensor]:
    side = boxes[:, 2:] - boxes[:, :2]
    return boxes[:, :2] + side / 2, side


def clip(boxes: Tensor, size: tuple[int, int]) -> Tensor:
    """Boxes cut at the border of an image of `size` (height, width)."""
    height, width = size
    limits = boxes.new_tensor([width, height, width, height])
    return torch.minimum(boxes.clamp(min=0), limits)
