"""Box geometry: regression deltas and clipping. Overlap is in src/boxes/overlap.py.

Boxes are float32 `[x1, y1, x2, y2]` in absolute pixels, half-open, so a width is `x2 - x1` with no `+ 1` anywhere.
N is the number of boxes. For NMS, callers use `torchvision.ops.batched_nms`.
"""

import math

import torch
from torch import Tensor

# Keeps exp(dw) of an extreme delta from overflowing: a side grows by a factor of at most 1000 / 16, as in Detectron.
MAX_LOG_SCALE = math.log(1000.0 / 16)


def encode(proposals: Tensor, gt_boxes: Tensor) -> Tensor:
    """Compute the deltas from proposals to their ground-truth boxes (Girshick et al. 2014, App. C, Eq. 6-9).

    Args:
        proposals: [N, 4], each with a width and a height above 0.
        gt_boxes: [N, 4], the ground-truth box of each proposal, in the same order.

    Returns:
        deltas [N, 4]: `tx, ty` in units of the proposal's sides; `tw, th` are logarithms of the ratios of the sides.

    >>> encode(torch.tensor([[0.0, 0, 10, 10]]), torch.tensor([[5.0, 0, 15, 10]]))  # half a width to the right
    tensor([[0.5000, 0.0000, 0.0000, 0.0000]])
    """
    centre, side = _centre_form(proposals)
    gt_centre, gt_side = _centre_form(gt_boxes)
    return torch.cat([(gt_centre - centre) / side, torch.log(gt_side / side)], dim=1)


def decode(proposals: Tensor, deltas: Tensor) -> Tensor:
    """Apply deltas to proposals (App. C, Eq. 1-4); the inverse of `encode`.

    Args:
        proposals: [N, 4].
        deltas: [N, 4].

    Returns:
        boxes [N, 4], not clipped to any image. Each side grows by a factor of at most 62.5.
    """
    centre, side = _centre_form(proposals)
    new_centre = centre + deltas[:, :2] * side
    half = side * torch.exp(deltas[:, 2:].clamp(max=MAX_LOG_SCALE)) / 2
    return torch.cat([new_centre - half, new_centre + half], dim=1)


def _centre_form(boxes: Tensor) -> tuple[Tensor, Tensor]:
    side = boxes[:, 2:] - boxes[:, :2]
    return boxes[:, :2] + side / 2, side


def clip(boxes: Tensor, size: tuple[int, int]) -> Tensor:
    """Clip boxes to an image of `size` (height, width)."""
    height, width = size
    limits = boxes.new_tensor([width, height, width, height])
    return torch.minimum(boxes.clamp(min=0), limits)
