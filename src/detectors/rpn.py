"""The region proposal network (Ren et al. 2015, Faster R-CNN, Sec. 3.1): where there is an object, of whatever class.

A score and a correction for each of some anchors in every cell of one feature map. B images, N anchors.
"""

from collections.abc import Mapping, Sequence
from typing import cast

import torch
from torch import Tensor, nn
from torch.nn import functional
from torchvision.ops import nms

from src import plugins
from src.boxes.geometry import clip, encode
from src.boxes.geometry import decode as decode_deltas
from src.boxes.overlap import iou
from src.detection.anchors import anchors
from src.detection.augmentation import Augment
from src.params import Count, Fraction, NonNegative, Positive, Section
from src.training.settings import TrainOverrides

Outputs = Mapping[str, Tensor]
NEUTRAL = -1
CLASS_AGNOSTIC = True  # label 1 is any object
SMOOTH_L1_BETA = 1 / 9  # sigma 3 of the released code


class Model(Section):
    """What the network is."""

    backbone: str
    width: Positive
    size: Count
    channels: Count
    scales: list[Positive]
    aspect_ratios: list[Positive]


class Loss(Section):
    """What it learns from."""

    fg_iou_thresh: Fraction
    bg_iou_thresh: Fraction
    anchors_per_image: Count | None
    fg_fraction: Fraction
    across_border: bool
    box_weight: NonNegative


class Decode(Section):
    """What is made of its outputs; nothing is trained again for these."""

    candidates: Count
    nms_thresh: Fraction
    min_side: NonNegative
    max_per_image: Count


class Params(Section):
    """The section `detectors.rpn`."""

    weights: str
    new_layer_lr: Positive
    model: Model
    loss: Loss
    augment: Augment
    train: TrainOverrides = TrainOverrides()
    decode: Decode


class Rpn(nn.Module):
    """Backbone, a 3 x 3 convolution, and two 1 x 1 heads."""

    def __init__(self, model: Model) -> None:
        super().__init__()
        self.backbone = plugins.load("backbones", model.backbone).single(model.width)
        self.conv = nn.Conv2d(self.backbone.channels[0], model.channels, 3, padding=1)
        self.scales, self.aspect_ratios = model.scales, model.aspect_ratios
        count = len(model.scales) * len(model.aspect_ratios)
        self.objectness, self.regress = nn.Conv2d(model.channels, count, 1), nn.Conv2d(model.channels, count * 4, 1)
        for layer in (self.conv, self.objectness, self.regress):
            nn.init.normal_(layer.weight, std=0.01)  # Sec. 3.1.3
            nn.init.constant_(cast(Tensor, layer.bias), 0)

    def forward(self, images: Tensor) -> dict[str, Tensor]:
        """`logits` [B, N], `deltas` [B, N, 4], `anchors` [N, 4] and `input_size` [2] of images [B, 3, H, W]."""
        features = self.backbone(images)[0]
        hidden = functional.relu(self.conv(features))
        grid = features.shape[2], features.shape[3]
        boxes = anchors(grid, images.shape[3] / grid[1], self.scales, self.aspect_ratios)
        return {
            "logits": self.objectness(hidden).permute(0, 2, 3, 1).flatten(1),
            "deltas": self.regress(hidden).permute(0, 2, 3, 1).reshape(len(images), -1, 4),
            "anchors": boxes.to(images.device),
            "input_size": torch.tensor(images.shape[2:]),
        }


def build(num_classes: int, model: Model) -> nn.Module:
    """The network with random weights; it tells no classes apart, so `num_classes` has no influence."""
    return Rpn(model)


def label(boxes: Tensor, gt_boxes: Tensor, size: tuple[float, float], rules: Loss) -> tuple[Tensor, Tensor]:
    """What each anchor is to say (Sec. 3.1.2): 1 object, 0 background, -1 neutral, and which object.

    Positive are the anchors that overlap an object most, all of equals, whatever their IoU, and those of
    `fg_iou_thresh` or more; negative are others below `bg_iou_thresh` with all objects. What reaches across the
    image's border is neutral unless `across_border`.

    Args:
        boxes: [N, 4].
        gt_boxes: [M, 4].
        size: (height, width) of the image.

    Returns:
        labels [N] and index into `gt_boxes` [N], the latter of use where the label is 1. Without objects no label is 1.
    """
    labels = torch.full((len(boxes),), NEUTRAL, device=boxes.device)
    inside = (boxes == clip(boxes, (int(size[0]), int(size[1])))).all(dim=1) | rules.across_border
    if len(gt_boxes) == 0:
        labels[inside] = 0
        return labels, torch.zeros_like(labels)
    overlaps = iou(boxes, gt_boxes) * inside[:, None]
    best, matched = overlaps.max(dim=1)
    labels[best < rules.bg_iou_thresh] = 0
    most = overlaps.max(dim=0).values
    ties = (overlaps == most) & (most > 0)
    labels[ties.any(dim=1) | (best >= rules.fg_iou_thresh)] = 1
    # The object for whose sake an anchor is positive, if it is not the one that it overlaps most.
    forced = ties.any(dim=1) & (best < rules.fg_iou_thresh)
    matched[forced] = (overlaps * ties)[forced].argmax(dim=1)
    labels[~inside] = NEUTRAL
    return labels, matched


def sample(labels: Tensor, rules: Loss) -> Tensor:
    """Labels of which at most `anchors_per_image` are left, objects up to `fg_fraction` of them; the rest is neutral.

    Background fills what objects leave free. None takes every labelled anchor, as the tutorial does.
    """
    if rules.anchors_per_image is None:
        return labels
    kept = torch.full_like(labels, NEUTRAL)
    objects, backgrounds = (torch.nonzero(labels == value).flatten() for value in (1, 0))
    some = objects[torch.randperm(len(objects))[: int(rules.anchors_per_image * rules.fg_fraction)]]
    rest = backgrounds[torch.randperm(len(backgrounds))[: rules.anchors_per_image - len(some)]]
    kept[some], kept[rest] = 1, 0
    return kept


def objectness_loss(logits: Tensor, labels: Tensor) -> Tensor:
    """sum(mask * BCE) / (1e-6 + sum(mask)), mask = label is not neutral; 0 where all are.

    Neutral anchors are taken out before the loss rather than multiplied by 0 behind it: 0 times infinity is no number.
    """
    mask = labels != NEUTRAL
    each = functional.binary_cross_entropy_with_logits(logits[mask], labels[mask].float(), reduction="none")
    return each.sum() / (1e-6 + mask.sum())


def loss(outputs: Outputs, targets: Sequence[Mapping[str, Tensor]], rules: Loss) -> dict[str, Tensor]:
    """`objectness_loss` and `box_loss` (Sec. 3.1.2, Eq. 1).

    The smooth L1 of the positive anchors is summed and divided by the number of sampled anchors, then weighted: with
    the paper's 256 anchors and about 2,400 places its lambda of 10 is a weight of about 1 here.
    """
    height, width = outputs["input_size"].tolist()
    found = [label(outputs["anchors"], target["boxes"], (height, width), rules) for target in targets]
    labels = torch.stack([sample(one, rules) for one, _ in found])
    deltas = []
    for row, (target, (_, matched)) in enumerate(zip(targets, found, strict=True)):
        positive = labels[row] == 1
        deltas.append(encode(outputs["anchors"][positive], target["boxes"][matched[positive]]))
    boxes = functional.smooth_l1_loss(
        outputs["deltas"][labels == 1], torch.cat(deltas), beta=SMOOTH_L1_BETA, reduction="sum"
    )
    count = (labels != NEUTRAL).sum().clamp(min=1)
    return {
        "objectness_loss": objectness_loss(outputs["logits"], labels),
        "box_loss": rules.box_weight * boxes / count,
    }


def count(outputs: Outputs, targets: Sequence[Mapping[str, Tensor]], rules: Loss) -> dict[str, int]:
    """How many of the labelled anchors are positive, are called so, are both; `figures` makes shares of the sums."""
    height, width = outputs["input_size"].tolist()
    labels = torch.stack([label(outputs["anchors"], one["boxes"], (height, width), rules)[0] for one in targets])
    called = (outputs["logits"] > 0) & (labels != NEUTRAL)
    return {
        "labelled": int((labels != NEUTRAL).sum()),
        "positive": int((labels == 1).sum()),
        "called": int(called.sum()),
        "found": int((called & (labels == 1)).sum()),
    }


def figures(counts: Mapping[str, float]) -> dict[str, float]:
    """Precision and recall of the positive anchors, and the accuracy over all labelled ones.

    The accuracy alone says nothing: to call all anchors background scores `accuracy_always_background`.
    """
    labelled, positive = max(counts["labelled"], 1), counts["positive"]
    wrong = positive + counts["called"] - 2 * counts["found"]
    return {
        "precision": counts["found"] / max(counts["called"], 1),
        "recall": counts["found"] / max(positive, 1),
        "accuracy": 1 - wrong / labelled,
        "accuracy_always_background": 1 - positive / labelled,
    }


def decode(outputs: Outputs, sizes: Sequence[tuple[int, int]], rules: Decode) -> list[dict[str, Tensor]]:
    """Proposals of each image: the best anchors, moved, clipped, without small ones and near duplicates.

    Args:
        outputs: of the network.
        sizes: (height, width) of each image as it was before it was made square; boxes are in its pixels, and inside.

    Returns:
        for each image {boxes [K, 4], labels [K] (all 1, "object"), scores [K]} by falling score.
    """
    height, width = outputs["input_size"].tolist()
    found = []
    for logits, deltas, size in zip(outputs["logits"], outputs["deltas"], sizes, strict=True):
        best, rows = logits.topk(min(rules.candidates, len(logits)))
        boxes = clip(decode_deltas(outputs["anchors"][rows], deltas[rows]), (height, width))
        boxes = boxes * boxes.new_tensor([size[1] / width, size[0] / height] * 2)
        large = ((boxes[:, 2:] - boxes[:, :2]) >= max(rules.min_side, 1e-3)).all(dim=1)
        boxes, best = boxes[large], best[large]
        kept = nms(boxes, best, rules.nms_thresh)[: rules.max_per_image]
        found.append({"boxes": boxes[kept], "labels": torch.ones_like(kept), "scores": best[kept].sigmoid()})
    return found
