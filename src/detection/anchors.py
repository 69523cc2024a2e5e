"""The boxes that a dense detector corrects: SSD's default boxes and the RPN's anchors.

All are float32 [N, 4], pixels of the network's input. The order is that of a head's output [B, A * K, H, W] brought to
[B, H * W * A, K]: row by row of the map, at each place one box after the other.
"""

import math
from collections.abc import Sequence

import torch
from torch import Tensor

Grid = tuple[int, int]  # height and width of a feature map


def linear_scales(first: float, smallest: float, largest: float, maps: int) -> list[float]:
    """Scales of `maps` feature maps and one more behind the last (Liu et al. 2016, SSD Eq. 4), as shares of the image.

    The first map has `first` (the paper's 0.1 on conv4_3), the others lie evenly from `smallest` to `largest`; the one
    more is the next in that row, for the last map's box between two scales.

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
    """SSD's default boxes (Sec. 2.2).

    At each place of a map a square of its scale, a square of the mean with the next scale, and two boxes a ratio, a
    wide and a tall one.

    Args:
        grids: of each map.
        scales: one more than maps, shares of the image's side.
        aspect_ratios: of each map, above 1; 1 is always there.
        size: side of the square input in pixels.
        strides: pixels between two places of each map; None: size / cells, as in the paper. The released models have
            8, 16, 32, 64, 100 and 300 of 300 pixels.

    Returns:
        [N, 4]. Sides are clipped to the image's, corners are not: a box at the border reaches beyond it. Differs: the
        released code clips centres too, which moves some of its 10 x 10 map by 4 pixels.
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
        boxes.append(_at(centres, (torch.tensor(sides) * size).clamp(max=size)))
    return torch.cat(boxes)


def anchors(grid: Grid, stride: float, scales: Sequence[float], aspect_ratios: Sequence[float]) -> Tensor:
    """The RPN's anchors (Ren et al. 2015, Sec. 3.1.1): every scale in every ratio, at the centre of every cell.

    Args:
        grid: of the feature map.
        stride: pixels between two cells.
        scales: square roots of the areas, pixels.
        aspect_ratios: height / width.

    Returns:
        [H * W * A, 4], not clipped. Differs: torchvision centres them on the cells' corners and rounds to pixels.
    """
    sides = [(scale / math.sqrt(ratio), scale * math.sqrt(ratio)) for scale in scales for ratio in aspect_ratios]
    return _at(_centres(grid, (stride, stride)), torch.tensor(sides))


def _centres(grid: Grid, steps: tuple[float, float]) -> Tensor:
    """Centres [H * W, 2] of the cells, row by row; `steps` are those along x and along y."""
    y, x = torch.meshgrid(torch.arange(grid[0]) + 0.5, torch.arange(grid[1]) + 0.5, indexing="ij")
    return torch.stack([x.flatten() * steps[0], y.flatten() * steps[1]], dim=1)


def _at(centres: Tensor, sides: Tensor) -> Tensor:
    corners = torch.cat([-sides, sides], dim=1) / 2  # [A, 4]
    return (centres.repeat(1, 2)[:, None] + corners).reshape(-1, 4)
