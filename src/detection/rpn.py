"""The region proposal network (Ren et al. 2015, Faster R-CNN, Sec. 3.1): its layers, and its proposals.

It predicts a score and a correction for each anchor in every cell of one feature map. B images, N anchors.
"""

from collections.abc import Mapping, Sequence
from typing import Any, Self, cast

import torch
from pydantic import model_validator
from torch import Tensor, nn
from torch.nn import functional
from torchvision.ops import nms

from src import plugins
from src.boxes.geometry import clip
from src.boxes.geometry import decode as decode_deltas
from src.detection.anchors import anchors, inside, kept_anchors
from src.detection.sizes import Size, rescaled, size_of
from src.params import Count, Fraction, NonNegative, Positive, Section

Outputs = Mapping[str, Tensor]
MAP_STRIDE = 16  # pixels between two cells of the backbones' `single`


class Model(Section):
    """The network."""

    backbone: str
    width: Positive
    size: Count
    longest: Count | None
    channels: Count
    scales: list[Positive]
    aspect_ratios: list[Positive]

    @model_validator(mode="after")
    def _ordered(self) -> Self:
        if self.longest is not None and self.longest <= self.size:
            raise ValueError(f"longest = {self.longest}: it must be larger than size = {self.size}, or null")
        return self


class Decode(Section):
    """Post-processing; changing these parameters never retrains."""

    candidates: Count
    nms_thresh: Fraction
    min_side: NonNegative
    max_per_image: Count


def check_trainable(model: Model, key: str) -> None:
    """Raise a `ValueError` if anchors across the border are ignored and no anchor of some shape lies inside the input.

    `key` is the parameter that ignores them, for the message.
    """
    if shapes := _never_inside(model):
        height, width = size_of(model).largest
        raise ValueError(
            f"{key} = false and model.scales do not fit together: every anchor of {', '.join(shapes)} "
            f"(scale x aspect ratio) crosses the border of an input of {height} x {width} pixels, so nothing "
            f"trains it; set {key} to true, or take smaller model.scales or a larger model.size"
        )


def _never_inside(model: Model) -> list[str]:
    """List the shapes that have no anchor inside the largest input, upright or lying."""
    names = [f"{scale:g} x {ratio:g}" for scale in model.scales for ratio in model.aspect_ratios]
    height, width = size_of(model).largest
    fits = torch.zeros(len(names), dtype=torch.bool)
    for rows, columns in ((height, width), (width, height)):
        grid = -(-rows // MAP_STRIDE), -(-columns // MAP_STRIDE)
        stride = MAP_STRIDE if model.longest else columns / grid[1]  # padded inputs have whole cells
        boxes = anchors(grid, stride, model.scales, model.aspect_ratios)
        fits |= (boxes == clip(boxes, (rows, columns))).all(dim=1).reshape(-1, len(names)).any(dim=0)
    return [name for name, fit in zip(names, fits.tolist(), strict=True) if not fit]


class RpnHead(nn.Module):
    """A 3 x 3 convolution, and two 1 x 1 convolutions for the scores and the corrections of the anchors."""

    def __init__(self, channels: int, model: Model) -> None:
        super().__init__()
        self.conv = nn.Conv2d(channels, model.channels, 3, padding=1)
        self.scales, self.aspect_ratios = tuple(model.scales), tuple(model.aspect_ratios)
        self.size = size_of(model)
        count = len(model.scales) * len(model.aspect_ratios)
        self.objectness, self.regress = nn.Conv2d(model.channels, count, 1), nn.Conv2d(model.channels, count * 4, 1)
        for layer in (self.conv, self.objectness, self.regress):
            nn.init.normal_(layer.weight, std=0.01)  # Sec. 3.1.3
            nn.init.constant_(cast(Tensor, layer.bias), 0)

    def anchored(self, features: Tensor, images: Tensor) -> dict[str, Tensor]:
        """Compute `logits` [B, N], `deltas` [B, N, 4] and `anchors` [N, 4] from the map of images [B, 3, H, W].

        `input_size` [2] is (H, W), `shape_scales` [A] is the scale of each shape of anchor. `scaling` [2] is only there
        for padded images: the rule `Size`, which tells the size of an image without its padding.
        """
        hidden = functional.relu(self.conv(features))
        grid = features.shape[2], features.shape[3]
        make = kept_anchors.__wrapped__ if torch.compiler.is_compiling() else kept_anchors
        outputs = {
            "logits": self.objectness(hidden).permute(0, 2, 3, 1).flatten(1),
            "deltas": self.regress(hidden).permute(0, 2, 3, 1).reshape(len(images), -1, 4),
            "anchors": make(images.device, grid, images.shape[3] / grid[1], self.scales, self.aspect_ratios),
            "shape_scales": torch.tensor(self.scales).repeat_interleave(len(self.aspect_ratios)),
            "input_size": torch.tensor(images.shape[2:]),
        }
        return outputs if self.size.longest is None else {**outputs, "scaling": torch.tensor(self.size)}


class Rpn(RpnHead):
    """A backbone, and the RPN's layers on its map."""

    def __init__(self, model: Model) -> None:
        backbone = backbone_of(model.backbone, model.width)
        super().__init__(backbone.channels[0], model)
        self.backbone = backbone

    def forward(self, images: Tensor) -> dict[str, Tensor]:
        """Compute the outputs of `RpnHead.anchored` from images [B, 3, H, W]."""
        return self.anchored(self.backbone(images)[0], images)


def backbone_of(name: str, width: float) -> Any:
    """Build a backbone with one map, whose number of channels is `channels[0]`, with random weights."""
    return plugins.load("backbones", name).single(width)


def propose(
    outputs: Outputs, seen: Sequence[tuple[int, int]], sizes: Sequence[tuple[int, int]], rules: Decode
) -> list[tuple[Tensor, Tensor]]:
    """Move the best anchors of each image, clip them, and drop small boxes and near duplicates (Sec. 3.3).

    Args:
        outputs: `logits`, `deltas` and `anchors`, and `scaling` if the images are padded.
        seen: (height, width) of each image in the input, without padding.
        sizes: (height, width) of each image in the pixels in which the boxes are returned.
        rules: numbers and thresholds.

    Returns:
        per image (boxes [K, 4] inside it, logits [K]) by descending logit; K may be 0.
    """
    proposals = []
    for logits, deltas, shown, size in zip(outputs["logits"], outputs["deltas"], seen, sizes, strict=True):
        anchors = outputs["anchors"]
        if "scaling" in outputs:  # the best anchors are those of the image, none of the padding
            own = inside(anchors, torch.tensor([shown], device=logits.device), across_border=True)[0]
            anchors, logits, deltas = anchors[own], logits[own], deltas[own]
        best, rows = logits.topk(min(rules.candidates, len(logits)))
        boxes = rescaled(clip(decode_deltas(anchors[rows], deltas[rows]), shown), shown, size)
        large = ((boxes[:, 2:] - boxes[:, :2]) >= max(rules.min_side, 1e-3)).all(dim=1)
        boxes, best = boxes[large], best[large]
        kept = nms(boxes, best, rules.nms_thresh)[: rules.max_per_image]
        proposals.append((boxes[kept], best[kept]))
    return proposals


def seen_sizes(outputs: Outputs, sizes: Sequence[tuple[int, int]]) -> list[tuple[int, int]]:
    """Return the (height, width) that images of `sizes` (height, width) have in the input, without padding."""
    if "scaling" in outputs:
        scaling = Size(*outputs["scaling"].tolist())
        return [scaling.scaled(size) for size in sizes]
    height, width = outputs["input_size"].tolist()
    return [(height, width)] * len(sizes)


def decode(outputs: Outputs, sizes: Sequence[tuple[int, int]], rules: Decode) -> list[dict[str, Tensor]]:
    """Decode the proposals of each image: `propose`, in pixels of the image.

    Args:
        outputs: outputs of the network.
        sizes: (height, width) of each image before it was scaled; boxes are in its pixels and inside it.
        rules: the section's `decode`.

    Returns:
        per image {boxes [K, 4], labels [K] (all 1, "object"), scores [K]} by descending score; K may be 0.
    """
    return [
        {
            "boxes": boxes,
            "labels": torch.ones(len(boxes), dtype=torch.int64, device=boxes.device),
            "scores": best.sigmoid(),
        }
        for boxes, best in propose(outputs, seen_sizes(outputs, sizes), sizes, rules)
    ]
