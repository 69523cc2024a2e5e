"""SSD, the single shot multibox detector (Liu et al. 2016, arXiv:1512.02325).

It predicts classes and corrections of some thousand default boxes from feature maps of decreasing size. B images, N
default boxes, C classes including background, S pixels per side of the input.
"""

from collections.abc import Mapping, Sequence
from itertools import pairwise
from typing import Annotated, cast

import torch
from pydantic import Field
from torch import Tensor, nn
from torch.nn import functional
from torchvision.ops import batched_nms

from src import plugins
from src.boxes.geometry import clip, encode
from src.boxes.geometry import decode as decode_deltas
from src.detection.anchors import default_boxes, linear_scales
from src.detection.augmentation import Augment
from src.detection.matching import hardest, match
from src.detection.sizes import rescaled
from src.errors import InputError
from src.networks.initial_values import xavier
from src.params import Count, Fraction, NonNegative, Positive, Section
from src.training.processes import averaged
from src.training.settings import TrainOverrides

Outputs = Mapping[str, Tensor]


class Model(Section):
    """The network."""

    backbone: str
    width: Positive
    size: Count
    extra_channels: list[Count]
    first_scale: Positive
    smallest_scale: Positive
    largest_scale: Positive
    scales: list[Positive] | None
    aspect_ratios: list[list[Positive]]
    strides: list[Positive] | None
    variances: Annotated[list[Positive], Field(min_length=4, max_length=4)]


class Loss(Section):
    """The matching of default boxes, and the loss."""

    iou_thresh: Fraction
    negatives_per_positive: NonNegative
    box_weight: NonNegative


class Decode(Section):
    """Post-processing; changing these parameters never retrains."""

    score_thresh: Fraction
    candidates: Count
    nms_thresh: Fraction
    max_per_image: Count


class Params(Section):
    """The section `detectors.ssd300`."""

    weights: str
    new_layer_lr: Positive
    model: Model
    loss: Loss
    augment: Augment
    train: TrainOverrides = TrainOverrides()
    decode: Decode


class Ssd(nn.Module):
    """A backbone, extra feature maps, and two heads per map."""

    def __init__(self, num_classes: int, model: Model) -> None:
        super().__init__()
        self.backbone = plugins.load("backbones", model.backbone).pyramid(model.width)
        grids = _grids(self.backbone, model.size)
        normed = any(isinstance(layer, nn.BatchNorm2d) for layer in self.backbone.modules())
        self.extras = nn.ModuleList()
        for before, after in pairwise([self.backbone.channels[-1], *model.extra_channels]):
            layer, grid = _extra(before, after, grids[-1], normed)
            self.extras.append(layer)
            grids.append(grid)
        _check_maps(model, len(grids))
        ratios = model.aspect_ratios
        formula = linear_scales(model.first_scale, model.smallest_scale, model.largest_scale, len(grids))
        boxes = default_boxes(grids, model.scales or formula, ratios, model.size, model.strides)
        self.register_buffer("default_boxes", boxes, persistent=False)
        self.register_buffer("variances", torch.tensor(model.variances), persistent=False)
        counts = [2 + 2 * len(map_ratios) for map_ratios in ratios]
        channels = [*self.backbone.channels, *model.extra_channels]
        self.classify = nn.ModuleList(_head(c, n * num_classes) for c, n in zip(channels, counts, strict=True))
        self.regress = nn.ModuleList(_head(c, n * 4) for c, n in zip(channels, counts, strict=True))
        for layers in (self.extras, self.classify, self.regress):
            xavier(layers)
        self.num_classes = num_classes

    def forward(self, images: Tensor) -> dict[str, Tensor]:
        """Compute `logits` [B, N, C] and `deltas` [B, N, 4] from images [B, 3, S, S]; add `default_boxes` [N, 4].

        `deltas` are the deltas of the boxes divided by `variances` [4], which is also in the outputs. So the training
        targets have about unit variance (released code). `input_size` [2] is the height and width of the images.
        """
        maps = self.backbone(images)
        for layer in self.extras:
            maps.append(layer(maps[-1]))
        return {
            "logits": _flat(self.classify, maps, self.num_classes),
            "deltas": _flat(self.regress, maps, 4),
            "default_boxes": cast(Tensor, self.default_boxes),
            "variances": cast(Tensor, self.variances),
            "input_size": torch.tensor(images.shape[2:]),
        }


def build(num_classes: int, model: Model) -> nn.Module:
    """Build the network with random weights; `num_classes` includes background."""
    return Ssd(num_classes, model)


def _grids(backbone: nn.Module, size: int) -> list[tuple[int, int]]:
    """Return (height, width) of each of the backbone's maps, found with an empty image."""
    with torch.no_grad():
        maps = backbone.eval()(torch.zeros(1, 3, size, size))
    backbone.train()
    return [(features.shape[2], features.shape[3]) for features in maps]


def _check_maps(model: Model, maps: int) -> None:
    for name, given, wanted in (
        ("aspect_ratios", model.aspect_ratios, maps),
        ("strides", model.strides, maps),
        ("scales", model.scales, maps + 1),
    ):
        if given is not None and len(given) != wanted:
            raise InputError(
                f"model.{name} = {given} has {len(given)} entries, and must have {wanted}: {model.backbone} "
                f"with {len(model.extra_channels)} extra maps has {maps} maps (scales: one more)"
            )


def _extra(before: int, after: int, grid: tuple[int, int], normed: bool) -> tuple[nn.Module, tuple[int, int]]:
    """Build the layers of an extra map, and return them with its height and width (Sec. 3, Fig. 2).

    A 1 x 1 convolution is followed by a 3 x 3 one with stride 2, or without padding on a map of 5 or 3 cells. So 38
    cells become 19, 10, 5, 3, 1 in SSD300, and 64 become 32, 16, 8, 4, 2, 1 in SSD512. Differs: SSD512's last
    convolution is 4 x 4 in the released code; of its weights only 2 x 2 meet the map of 2 cells, as of ours.
    """
    stride, padding = (1, 0) if max(grid) in (3, 5) else (2, 1)
    middle = after // 2
    layers: list[nn.Module] = []
    for conv in (nn.Conv2d(before, middle, 1), nn.Conv2d(middle, after, 3, stride=stride, padding=padding)):
        layers += [conv, nn.BatchNorm2d(conv.out_channels)] if normed else [conv]
        layers.append(nn.ReLU(inplace=True))
    return nn.Sequential(*layers), tuple((side + 2 * padding - 3) // stride + 1 for side in grid)  # type: ignore[return-value]


def _head(channels: int, outputs: int) -> nn.Conv2d:
    return nn.Conv2d(channels, outputs, 3, padding=1)


def _flat(heads: nn.ModuleList, maps: Sequence[Tensor], values: int) -> Tensor:
    """Concatenate the outputs of all heads to [B, N, values], in the order of `src.detection.anchors`."""
    outputs = [head(features).permute(0, 2, 3, 1) for head, features in zip(heads, maps, strict=True)]
    return torch.cat([output.reshape(len(output), -1, values) for output in outputs], dim=1)


def loss(outputs: Outputs, targets: Mapping[str, Tensor], rules: Loss) -> dict[str, Tensor]:
    """Compute the MultiBox loss (Sec. 2.2, Eq. 1): `class_loss` and `box_loss`, each per positive of the batch.

    Of the background, only the hardest default boxes of each image count: `negatives_per_positive` times as many as the
    image has positives. An image without objects adds nothing. For a batch without objects, loss and gradient are 0
    (NaN in the released code). Only the default boxes that count have a gradient, a few hundredths of all.
    """
    boxes, logits = outputs["default_boxes"], outputs["logits"]
    image, box, item = match(boxes, targets, rules.iou_thresh)
    labels = torch.zeros(logits.shape[:2], dtype=torch.int64, device=logits.device)
    labels[image, box] = targets["labels"][image, item]
    positive = labels > 0
    with torch.no_grad():
        as_background = -logits.log_softmax(dim=2)[:, :, 0]
    chosen = positive | hardest(as_background, positive, rules.negatives_per_positive)
    class_loss = functional.cross_entropy(logits[chosen], labels[chosen], reduction="sum")
    wanted = encode(boxes[box], targets["boxes"][image, item]) / outputs["variances"]
    box_loss = functional.smooth_l1_loss(outputs["deltas"][image, box], wanted, reduction="sum")
    count = averaged(len(image), least=1)
    return {"class_loss": class_loss / count, "box_loss": rules.box_weight * box_loss / count}


def decode(outputs: Outputs, sizes: Sequence[tuple[int, int]], rules: Decode) -> list[dict[str, Tensor]]:
    """Decode the detections of each image (Sec. 2.2, 3): score threshold, NMS per class, then the best `max_per_image`.

    Args:
        outputs: outputs of the network.
        sizes: (height, width) of each image before it was resized to a square; boxes are in its pixels and inside it.
        rules: the section's `decode`.

    Returns:
        per image {boxes [K, 4], labels [K] from 1, scores [K]} by descending score; K may be 0.
    """
    probabilities = outputs["logits"].softmax(dim=2)[:, :, 1:]
    height, width = outputs["input_size"].tolist()
    detections = []
    for scores, deltas, size in zip(probabilities, outputs["deltas"], sizes, strict=True):
        best, rows = scores.topk(min(rules.candidates, len(scores)), dim=0)  # per class, [K, C - 1]
        labels = torch.arange(1, scores.shape[1] + 1, device=scores.device).expand_as(best)
        keep = best > rules.score_thresh
        best, rows, labels = best[keep], rows[keep], labels[keep]
        moved = decode_deltas(outputs["default_boxes"][rows], deltas[rows] * outputs["variances"])
        boxes = rescaled(clip(moved, (height, width)), (height, width), size)
        kept = batched_nms(boxes, best, labels, rules.nms_thresh)[: rules.max_per_image]
        detections.append({"boxes": boxes[kept], "labels": labels[kept], "scores": best[kept]})
    return detections
