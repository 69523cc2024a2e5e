"""The region proposal network (Ren et al. 2015, Faster R-CNN, Sec. 3.1), which finds objects of any class.

It predicts a score and a correction for each anchor in every cell of one feature map. B images, N anchors.
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
IGNORED = -1  # label of an anchor that the loss ignores
CLASS_AGNOSTIC = True  # label 1 is any object
SMOOTH_L1_BETA = 1 / 9  # sigma 3 of the released code


class Model(Section):
    """The network."""

    backbone: str
    width: Positive
    size: Count
    channels: Count
    scales: list[Positive]
    aspect_ratios: list[Positive]


class Loss(Section):
    """The labels of the anchors, and the loss."""

    fg_iou_thresh: Fraction
    bg_iou_thresh: Fraction
    anchors_per_image: Count | None
    fg_fraction: Fraction
    across_border: bool
    box_weight: NonNegative


class Decode(Section):
    """Post-processing; changing these parameters never retrains."""

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
    """A backbone, a 3 x 3 convolution, and two 1 x 1 heads."""

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
        """Compute `logits` [B, N], `deltas` [B, N, 4], `anchors` [N, 4], `input_size` [2] from images [B, 3, H, W]."""
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
    """Build the network with random weights; it does not distinguish classes, so `num_classes` has no effect."""
    return Rpn(model)


def label_anchors(boxes: Tensor, gt_boxes: Tensor, size: tuple[float, float], rules: Loss) -> tuple[Tensor, Tensor]:
    """Label anchors 1 object, 0 background, -1 neutral (Sec. 3.1.2), and give the index of the matched object.

    An anchor is positive if no other anchor overlaps some object more, whatever the IoU (all anchors of a tie are
    positive), or if its IoU with an object is `fg_iou_thresh` or more. It is negative if it is not positive and its IoU
    with every object is below `bg_iou_thresh`. An anchor that crosses the image's border is neutral unless
    `across_border`.

    Args:
        boxes: [N, 4], the anchors.
        gt_boxes: [M, 4].
        size: (height, width) of the image.
        rules: thresholds, and `across_border`.

    Returns:
        labels [N] and indices into `gt_boxes` [N]; an index is valid only if the label is 1. If M is 0, no label is 1.
    """
    labels = torch.full((len(boxes),), IGNORED, device=boxes.device)
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
    # An anchor that is positive only because an object has no better one is matched to that object.
    forced = ties.any(dim=1) & (best < rules.fg_iou_thresh)
    matched[forced] = (overlaps * ties)[forced].argmax(dim=1)
    labels[~inside] = IGNORED
    return labels, matched


def sample_anchors(labels: Tensor, rules: Loss) -> Tensor:
    """Keep a random choice of `anchors_per_image` labels, at most `fg_fraction` of them objects; the rest is neutral.

    Background fills the places that objects leave free. If `anchors_per_image` is None, every label is kept, as in the
    tutorial.
    """
    if rules.anchors_per_image is None:
        return labels
    kept = torch.full_like(labels, IGNORED)
    objects, backgrounds = (torch.nonzero(labels == value).flatten() for value in (1, 0))
    positives = objects[torch.randperm(len(objects))[: int(rules.anchors_per_image * rules.fg_fraction)]]
    negatives = backgrounds[torch.randperm(len(backgrounds))[: rules.anchors_per_image - len(positives)]]
    kept[positives], kept[negatives] = 1, 0
    return kept


def objectness_loss(logits: Tensor, labels: Tensor) -> Tensor:
    """Compute sum(mask * BCE) / (1e-6 + sum(mask)) with mask = label is not neutral; 0 if all labels are neutral.

    Neutral anchors are removed before the loss, not multiplied by 0 after it: 0 times infinity is NaN.
    """
    mask = labels != IGNORED
    each = functional.binary_cross_entropy_with_logits(logits[mask], labels[mask].float(), reduction="none")
    return each.sum() / (1e-6 + mask.sum())


def loss(outputs: Outputs, targets: Sequence[Mapping[str, Tensor]], rules: Loss) -> dict[str, Tensor]:
    """Compute `objectness_loss` and `box_loss` (Sec. 3.1.2, Eq. 1).

    The smooth L1 loss of the positive anchors is summed, divided by the number of anchors that count, and multiplied by
    `box_weight`. With the paper's 256 anchors and about 2,400 cells, its lambda of 10 is a weight of about 1 here.
    """
    height, width = outputs["input_size"].tolist()
    labelled = [label_anchors(outputs["anchors"], target["boxes"], (height, width), rules) for target in targets]
    labels = torch.stack([sample_anchors(image_labels, rules) for image_labels, _ in labelled])
    deltas = []
    for row, (target, (_, matched)) in enumerate(zip(targets, labelled, strict=True)):
        positive = labels[row] == 1
        deltas.append(encode(outputs["anchors"][positive], target["boxes"][matched[positive]]))
    boxes = functional.smooth_l1_loss(
        outputs["deltas"][labels == 1], torch.cat(deltas), beta=SMOOTH_L1_BETA, reduction="sum"
    )
    count = (labels != IGNORED).sum().clamp(min=1)
    return {
        "objectness_loss": objectness_loss(outputs["logits"], labels),
        "box_loss": rules.box_weight * boxes / count,
    }


def count(outputs: Outputs, targets: Sequence[Mapping[str, Tensor]], rules: Loss) -> dict[str, int]:
    """Count the labelled, the positive, the predicted positive and the correctly found anchors, for `figures`."""
    height, width = outputs["input_size"].tolist()
    labelled = [label_anchors(outputs["anchors"], target["boxes"], (height, width), rules) for target in targets]
    labels = torch.stack([image_labels for image_labels, _ in labelled])
    called = (outputs["logits"] > 0) & (labels != IGNORED)
    return {
        "labelled": int((labels != IGNORED).sum()),
        "positive": int((labels == 1).sum()),
        "called": int(called.sum()),
        "found": int((called & (labels == 1)).sum()),
    }


def figures(counts: Mapping[str, float]) -> dict[str, float]:
    """Compute precision and recall of the positive anchors, and the accuracy over all labelled ones.

    The accuracy alone means little: background as a constant answer already reaches `accuracy_always_background`.
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
    """Decode the proposals of each image: move the best anchors, clip them, and drop small boxes and near duplicates.

    Args:
        outputs: outputs of the network.
        sizes: (height, width) of each image before it was resized to a square; boxes are in its pixels and inside it.
        rules: the section's `decode`.

    Returns:
        per image {boxes [K, 4], labels [K] (all 1, "object"), scores [K]} by descending score; K may be 0.
    """
    height, width = outputs["input_size"].tolist()
    proposals = []
    for logits, deltas, size in zip(outputs["logits"], outputs["deltas"], sizes, strict=True):
        best, rows = logits.topk(min(rules.candidates, len(logits)))
        boxes = clip(decode_deltas(outputs["anchors"][rows], deltas[rows]), (height, width))
        boxes = boxes * boxes.new_tensor([size[1] / width, size[0] / height] * 2)
        large = ((boxes[:, 2:] - boxes[:, :2]) >= max(rules.min_side, 1e-3)).all(dim=1)
        boxes, best = boxes[large], best[large]
        kept = nms(boxes, best, rules.nms_thresh)[: rules.max_per_image]
        proposals.append({"boxes": boxes[kept], "labels": torch.ones_like(kept), "scores": best[kept].sigmoid()})
    return proposals
