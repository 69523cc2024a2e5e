"""The boxes that a dense detector corrects: SSD's default boxes (Liu et al. 2016) and the RPN's anchors.

Both are float32 [N, 4], in pixels of the network's input. Their order is that of a head's output [B, A * K, H, W] after
it is reshaped to [B, H * W * A, K]: row by row of the map, with all A boxes of a cell one after the other.
"""

import math
from collections.abc import Sequence
from functools import lru_cache

import torch
from torch import Tensor

Grid = tuple[int, int]  # height and width of a feature map


def linear_scales(first: float, smallest: float, largest: float, maps: int) -> list[float]:
    """Compute the scales of `maps` feature maps, and one more, as shares of the image's side (SSD Eq. 4).

    The first map has the scale `first` (the paper's 0.1 for conv4_3). The others are evenly spaced from `smallest` to
    `largest`. One more scale continues this spacing: the last map needs it for its box between two scales.

    >>> linear_scales(0.1, 0.2, 0.9, 6)
    [0.1, 0.2, 0.375, 0.55, 0.725, 0.9, 1.075]
    """
    step = (largest - smallest) / max(maps - 2, 1)
    return [first] + [round(smallest + step * index, 6) for index in range(maps)]


def default_boxes(
    grids: Sequence[Grid],
    scales: Sequence[float],
    aspect_ratios: Sequence[Sequence[float]],
    size: int,
    strides: Sequence[float] | None = None,
) -> Tensor:
    """Build SSD's default boxes (Sec. 2.2).

    Each cell of a map has a square of the map's scale, a square of the geometric mean of this and the next scale, and
    two boxes per aspect ratio, a wide and a tall one.

    Args:
        grids: (height, width) of each map.
        scales: shares of the image's side, one more than there are maps.
        aspect_ratios: ratios above 1, per map; 1 is always included.
        size: side of the square input in pixels.
        strides: pixels between two cells, per map; None means size / cells, as in the paper. The released models have
            8, 16, 32, 64, 100 and 300 pixels for an input of 300.

    Returns:
        [N, 4]. Sides are clipped to the image's side, but corners are not: a box at the border reaches beyond it.
        Differs: the released code clips the centres too, which moves some boxes of its 10 x 10 map by 4 pixels.
    """
    boxes = []
    for index, (height, width) in enumerate(grids):
        scale, between = scales[index], math.sqrt(scales[index] * scales[index + 1])
        sides = [(scale, scale), (between, between)]
        for ratio in aspect_ratios[index]:
            long, short = scale * math.sqrt(ratio), scale / math.sqrt(ratio)
            sides += [(long, short), (short, long)]
        steps = (size / width, size / height) if strides is None else (strides[index], strides[index])
        centres = _centres((height, width), steps)
        boxes.append(_boxes_at(centres, (torch.tensor(sides) * size).clamp(max=size)))
    return torch.cat(boxes)


def anchors(grid: Grid, stride: float, scales: Sequence[float], aspect_ratios: Sequence[float]) -> Tensor:
    """Build the RPN's anchors (Ren et al. 2015, Sec. 3.1.1): every scale in every ratio, at the centre of every cell.

    Args:
        grid: (height, width) of the feature map.
        stride: pixels between two cells.
        scales: square roots of the areas, in pixels.
        aspect_ratios: height / width.

    Returns:
        [H * W * A, 4], not clipped. Differs: torchvision centres anchors on the cells' corners and rounds to pixels.
    """
    sides = [(scale / math.sqrt(ratio), scale * math.sqrt(ratio)) for scale in scales for ratio in aspect_ratios]
    return _boxes_at(_centres(grid, (stride, stride)), torch.tensor(sides))


@lru_cache(maxsize=64)
def kept_anchors(
    device: torch.device, grid: Grid, stride: float, scales: tuple[float, ...], aspect_ratios: tuple[float, ...]
) -> Tensor:
    """Return the result of `anchors` on a device, built once per shape of the input. Never change it in place."""
    with torch.inference_mode(False):  # a tensor of the inference mode could not be used in a later training
        return anchors(grid, stride, scales, aspect_ratios).to(device)


def inside(boxes: Tensor, sizes: Tensor, across_border: bool) -> Tensor:
    """Find the anchors [N, 4] that an image may use, bool [B, N]; `sizes` [B, 2] are its height and width.

    With `across_border` these are the anchors whose centre is in the image, otherwise those that lie inside it.
    """
    height, width = sizes[:, :1], sizes[:, 1:]
    if across_border:
        x, y = ((boxes[:, :2] + boxes[:, 2:]) / 2).unbind(dim=1)
        return (x < width) & (y < height)
    left, top, right, bottom = boxes.unbind(dim=1)
    return (left >= 0) & (top >= 0) & (right <= width) & (bottom <= height)


def _centres(grid: Grid, steps: tuple[float, float]) -> Tensor:
    """Return the centres [H * W, 2] of the cells, row by row; `steps` are the strides along x and along y."""
    y, x = torch.meshgrid(torch.arange(grid[0]) + 0.5, torch.arange(grid[1]) + 0.5, indexing="ij")
    return torch.stack([x.flatten() * steps[0], y.flatten() * steps[1]], dim=1)


def _boxes_at(centres: Tensor, sides: Tensor) -> Tensor:
    corners = torch.cat([-sides, sides], dim=1) / 2  # [A, 4]
    return (centres.repeat(1, 2)[:, None] + corners).reshape(-1, 4)
