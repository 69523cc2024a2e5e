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
from src.boxes.overlap import iou
from src.detection.anchors import default_boxes, linear_scales
from src.detection.augmentation import Augment
from src.errors import InputError
from src.networks.initial_values import xavier
from src.params import Count, Fraction, NonNegative, Positive, Section
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


def match(boxes: Tensor, gt_boxes: Tensor, iou_thresh: float) -> Tensor:
    """Match default boxes to objects (Sec. 2.2).

    First, each object takes the default box that overlaps it most. Then each other default box takes the object that it
    overlaps most, if that IoU is `iou_thresh` or more. Differs: if two objects have the same best default box, the
    released code and torchvision give it to the later object, and the other object may get none. Here the object with
    the larger overlap gets it, and the other object gets the best of the remaining boxes.

    Args:
        boxes: [N, 4], the default boxes.
        gt_boxes: [M, 4].
        iou_thresh: smallest IoU of a match, except for the best box of an object.

    Returns:
        [N], index into `gt_boxes`, or -1 for none; all -1 if M is 0.
    """
    if len(gt_boxes) == 0:
        return torch.full((len(boxes),), -1, device=boxes.device)
    overlaps = iou(gt_boxes, boxes)
    best, matched = overlaps.max(dim=0)
    matched[best < iou_thresh] = -1
    first = overlaps.argmax(dim=1)
    if len(first.unique()) == len(first):
        matched[first] = torch.arange(len(gt_boxes), device=boxes.device)
        return matched
    for _ in range(min(overlaps.shape)):
        flat = int(overlaps.argmax())
        row, column = divmod(flat, overlaps.shape[1])
        matched[column] = row
        overlaps[row], overlaps[:, column] = -1, -1
    return matched


def loss(outputs: Outputs, targets: Sequence[Mapping[str, Tensor]], rules: Loss) -> dict[str, Tensor]:
    """Compute the MultiBox loss (Sec. 2.2, Eq. 1): `class_loss` and `box_loss`, each per positive of the batch.

    Of the background, only the hardest default boxes of each image count: `negatives_per_positive` times as many as the
    image has positives. An image without objects adds nothing. For a batch without objects, loss and gradient are 0
    (NaN in the released code).
    """
    boxes, logits = outputs["default_boxes"], outputs["logits"]
    matched = torch.stack([match(boxes, target["boxes"], rules.iou_thresh) for target in targets])  # [B, N]
    labels = torch.zeros_like(matched)
    deltas = []
    for row, target in enumerate(targets):
        objects = matched[row] >= 0
        labels[row, objects] = target["labels"][matched[row, objects]]
        deltas.append(encode(boxes[objects], target["boxes"][matched[row, objects]]))
    positive = labels > 0
    wanted = torch.cat(deltas) / outputs["variances"]
    each = functional.cross_entropy(logits.transpose(1, 2), labels, reduction="none")
    count = positive.sum().clamp(min=1)
    chosen = positive | hardest(each.detach(), positive, rules.negatives_per_positive)
    box_loss = functional.smooth_l1_loss(outputs["deltas"][positive], wanted, reduction="sum")
    return {"class_loss": each[chosen].sum() / count, "box_loss": rules.box_weight * box_loss / count}


def hardest(losses: Tensor, positive: Tensor, per_positive: float) -> Tensor:
    """Find the negatives of each image with the largest losses, `per_positive` times as many as it has positives.

    Args:
        losses: [B, N].
        positive: bool [B, N].
        per_positive: number of negatives per positive.

    Returns:
        bool [B, N].
    """
    wanted = (positive.sum(dim=1, keepdim=True) * per_positive).long()
    rank = losses.masked_fill(positive, -torch.inf).argsort(dim=1, descending=True).argsort(dim=1)
    return (rank < wanted) & ~positive


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
        boxes = clip(moved, (height, width))
        boxes = boxes * boxes.new_tensor([size[1] / width, size[0] / height] * 2)
        kept = batched_nms(boxes, best, labels, rules.nms_thresh)[: rules.max_per_image]
        detections.append({"boxes": boxes[kept], "labels": labels[kept], "scores": best[kept]})
    return detections
