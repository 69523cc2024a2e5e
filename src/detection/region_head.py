"""The second stage of Fast and Faster R-CNN (Girshick 2015, Sec. 2): pool each region, classify it, correct its box.

K regions of all images of a batch, C classes including background, F channels of the map.
"""

from typing import Annotated, Literal

import torch
from pydantic import Field
from torch import Tensor, nn
from torchvision.ops import roi_align, roi_pool

from src.params import Count, Fraction, Positive, Section

SAMPLES = 2  # of RoIAlign per cell and axis: four points, as in He et al. 2017, Sec. 3


class Head(Section):
    """The layers after the map."""

    pool: Literal["align", "max"]
    pool_size: Count
    hidden: Count
    dropout: Fraction
    deltas_std: Annotated[list[Positive], Field(min_length=4, max_length=4)]


class RegionHead(nn.Module):
    """Pooling of regions, two fully connected layers, and two sibling layers for classes and corrections.

    Differs: the paper's layers fc6 and fc7 start from ImageNet's; here they start at random, as the starting weights of
    a detector are those of its backbone alone.
    """

    def __init__(self, channels: int, num_classes: int, head: Head) -> None:
        super().__init__()
        self.pool, self.side = head.pool, head.pool_size
        self.layers = nn.Sequential(
            nn.Flatten(),
            nn.Linear(channels * head.pool_size**2, head.hidden),
            nn.ReLU(),
            nn.Dropout(head.dropout),
            nn.Linear(head.hidden, head.hidden),
            nn.ReLU(),
            nn.Dropout(head.dropout),
        )
        self.classify = nn.Linear(head.hidden, num_classes)
        self.regress = nn.Linear(head.hidden, (num_classes - 1) * 4)
        for layer, std in ((self.classify, 0.01), (self.regress, 0.001)):  # Sec. 2.3
            nn.init.normal_(layer.weight, std=std)
            nn.init.zeros_(layer.bias)

    def forward(self, features: Tensor, images: Tensor, boxes: Tensor, stride: float) -> tuple[Tensor, Tensor]:
        """Compute `logits` [K, C] and `deltas` [K, C - 1, 4] of regions; K may be 0.

        Differs: the paper has deltas of the background, too, which nothing trains or reads.

        Args:
            features: [B, F, H, W], the map of the images.
            images: [K], the number of each region's image.
            boxes: [K, 4], the regions in pixels of the input.
            stride: pixels between two cells of the map.
        """
        hidden = self.layers(pooled(features, images, boxes, stride, self.pool, self.side))
        return self.classify(hidden), self.regress(hidden).unflatten(1, (-1, 4))


def pooled(features: Tensor, images: Tensor, boxes: Tensor, stride: float, pool: str, side: int) -> Tensor:
    """Pool the features of regions to a grid of one size, [K, F, side, side].

    `max` is RoI max pooling (Girshick 2015, Sec. 2.1): it rounds the region's corners to cells and takes the maximum of
    each part. `align` is RoIAlign (He et al. 2017, Sec. 3): it rounds nothing, and takes the mean of four interpolated
    points of each part.

    Args:
        features: [B, F, H, W].
        images: [K], the number of each region's image.
        boxes: [K, 4] in pixels of the input; the centre of the first cell of the map is at `stride / 2`.
        stride: pixels between two cells of the map.
        pool: `align` or `max`.
        side: cells of the result along an axis.
    """
    regions = torch.cat([images[:, None].to(boxes.dtype), boxes], dim=1)
    if pool == "max":
        return roi_pool(features, regions, (side, side), 1 / stride)
    if features.requires_grad:
        return aligned(features, images, boxes, stride, side)
    return roi_align(features, regions, (side, side), 1 / stride, SAMPLES, aligned=True)


def aligned(features: Tensor, images: Tensor, boxes: Tensor, stride: float, side: int) -> Tensor:
    """Compute RoIAlign as products of matrices, for training; arguments and result are those of `pooled`.

    An interpolation is linear in the map, so a cell of the result is a weighted sum of the cells of the map. The
    gradient is then a product, too. torchvision's gradient adds one number at a time: on a CPU in one thread, which
    takes ten times as long, and on a GPU in any order, so that two trainings differ. Its forward pass needs less memory
    for many regions, so the test uses that.
    """
    with torch.autocast(features.device.type, enabled=False):
        map_height, map_width = features.shape[2:]
        rows = _interpolation(boxes[:, 1::2] / stride, map_height, side)
        columns = _interpolation(boxes[:, 0::2] / stride, map_width, side)
        weights = torch.einsum("kih,kjw->kijhw", rows, columns).flatten(3)  # [K, side, side, H * W]
        cells = features.float().flatten(2).mT  # [B, H * W, F]
        own = [(images == image).nonzero()[:, 0] for image in range(len(features))]
        parts = [torch.tensordot(weights[of_image], cells[image], 1) for image, of_image in enumerate(own)]
        return torch.cat(parts)[torch.cat(own).argsort()].permute(0, 3, 1, 2)


def _interpolation(ends: Tensor, cells: int, side: int) -> Tensor:
    """Return the weight of each cell of the map for each part of a region, along one axis: [K, side, cells].

    Args:
        ends: [K, 2], the first and the last coordinate of the regions; the centre of the first cell is at 0.5.
        cells: of the map along the axis; a point more than half a cell outside the map has no weight.
        side: parts of a region.
    """
    first, length = ends[:, :1] - 0.5, ends[:, 1:] - ends[:, :1]
    points = first + length * (torch.arange(side * SAMPLES, device=ends.device) + 0.5) / (side * SAMPLES)
    distances = points.clamp(0, cells - 1)[..., None] - torch.arange(cells, device=ends.device)
    inside = (points >= -1) & (points <= cells)
    weights = (1 - distances.abs()).clamp(min=0) * inside[..., None]
    return weights.unflatten(1, (side, SAMPLES)).mean(dim=2)
