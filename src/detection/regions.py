"""The regions of Fast and Faster R-CNN (Girshick 2015, arXiv:1504.08083): choice, loss and decoding.

B images, K regions of all images of a batch, M objects, C classes including background. The regions of a batch are flat
tensors, with the number of its image beside each box: images have different numbers of regions.
"""

from collections.abc import Mapping, Sequence
from typing import NamedTuple

import torch
from torch import Tensor
from torch.nn import functional
from torch.nn.utils.rnn import pad_sequence
from torchvision.ops import batched_nms

from src.boxes.geometry import clip, encode
from src.boxes.geometry import decode as decode_deltas
from src.boxes.matching import BACKGROUND, IGNORED, OBJECT
from src.boxes.overlap import iou
from src.detection.rpn import seen_sizes
from src.detection.sampling import sample
from src.detection.sizes import rescaled
from src.detection.targets import NEVER
from src.params import Count, Fraction, NonNegative, Positive, Section
from src.training.processes import averaged, widened

Outputs = Mapping[str, Tensor]
LEAST_SIDE = 0.01  # pixels of the input, of a detection; torchvision's detectors


class Choice(Section):
    """The choice of the regions to learn from, and their loss."""

    include_gt: bool
    regions_per_image: Count
    fg_fraction: Fraction
    fg_iou_thresh: Fraction
    bg_iou_min: Fraction
    box_weight: NonNegative
    box_beta: Positive


class Rules(Section):
    """Post-processing."""

    score_thresh: Fraction
    nms_thresh: Fraction
    max_per_image: Count


class Chosen(NamedTuple):
    """The regions of a batch that the loss learns from."""

    images: Tensor  # [K], the number of the image
    boxes: Tensor  # [K, 4], pixels of the input
    labels: Tensor  # [K], 0 is background
    objects: Tensor  # [K, 4], the ground-truth box that overlaps the region most; of no meaning for background


def together(proposals: Sequence[Tensor]) -> tuple[Tensor, Tensor]:
    """Return the images [K] and boxes [K, 4] of the proposals of each image, [N, 4] each; N may be 0."""
    counts = torch.tensor([len(boxes) for boxes in proposals])
    images = torch.repeat_interleave(torch.arange(len(proposals)), counts)
    return images.to(proposals[0].device), torch.cat(list(proposals))


def choose(proposals: Sequence[Tensor], targets: Mapping[str, Tensor], rules: Choice) -> Chosen:
    """Choose the regions of each image to learn from, at random (Sec. 2.3, mini-batch sampling).

    A proposal is an object if its largest IoU is `fg_iou_thresh` or more, and background if it is from `bg_iou_min` up
    to that. Of `regions_per_image` regions at most `fg_fraction` are objects; background fills the places that objects
    leave free, and fewer regions are chosen if there are fewer. With `include_gt` the ground-truth boxes are proposals
    too. An image without objects gives only background, and none if `bg_iou_min` is above 0.

    Args:
        proposals: [N, 4] per image, in pixels of the input; N may be 0.
        targets: `boxes` [B, M, 4] and `labels` [B, M], padded (`src.detection.targets`).
        rules: numbers and thresholds.
    """
    boxes = widened(pad_sequence(list(proposals), batch_first=True))  # [B, N, 4]
    targets = {name: widened(targets[name]) for name in ("boxes", "labels")}
    counts = torch.tensor([len(own) for own in proposals]).to(boxes.device)
    real = torch.arange(boxes.shape[1], device=boxes.device) < counts[:, None]
    if rules.include_gt:
        boxes, real = torch.cat([boxes, targets["boxes"]], dim=1), torch.cat([real, targets["labels"] > 0], dim=1)
    found = iou(boxes, targets["boxes"]).masked_fill_((targets["labels"] == 0)[:, None], NEVER)
    best, objects = found.max(dim=2)  # [B, N]
    best = best.clamp(min=0)  # of an image without objects
    labels = torch.full_like(objects, IGNORED)
    labels[real & (best < rules.fg_iou_thresh) & (best >= rules.bg_iou_min)] = BACKGROUND
    labels[real & (best >= rules.fg_iou_thresh)] = OBJECT
    labels = sample(labels, rules.regions_per_image, rules.fg_fraction)
    images, rows = (labels != IGNORED).nonzero(as_tuple=True)
    own = objects[images, rows]
    classes = targets["labels"][images, own].masked_fill(labels[images, rows] == BACKGROUND, 0)
    return Chosen(images, boxes[images, rows], classes, targets["boxes"][images, own])


def region_loss(outputs: Outputs, rules: Choice) -> dict[str, Tensor]:
    """Compute the multi-task loss (Sec. 2.3, Eq. 1-3): `class_loss` and `box_loss`, each per chosen region.

    `class_loss` is the cross entropy over classes and background. `box_loss` is the smooth L1 loss of the deltas of the
    true class, of objects alone, times `box_weight`. A difference d of deltas costs d^2 / (2 beta) below `box_beta`,
    and |d| - beta / 2 from there on; in Eq. 3 beta is 1. Without regions both are 0; without objects `box_loss` is 0.
    Outputs without `logits` have no `class_loss`, and those without `deltas` no `box_loss` (`src/detection/steps.py`).

    Args:
        outputs: `logits` [K, C], `deltas` [K, C - 1, 4] and `deltas_std` [4]; `boxes`, `labels` and `objects` of the
            regions, as in `Chosen`.
        rules: the weight, and beta.
    """
    labels, count = outputs["labels"], averaged(len(outputs["labels"]), least=1)
    named: dict[str, Tensor] = {}
    if "logits" in outputs:
        named["class_loss"] = functional.cross_entropy(outputs["logits"], labels, reduction="sum") / count
    if "deltas" in outputs:
        (rows,) = (labels > 0).nonzero(as_tuple=True)
        wanted = encode(outputs["boxes"][rows], outputs["objects"][rows]) / outputs["deltas_std"]
        found = outputs["deltas"][rows, labels[rows] - 1]
        box_loss = functional.smooth_l1_loss(found, wanted, beta=rules.box_beta, reduction="sum")
        named["box_loss"] = rules.box_weight * box_loss / count
    return named


def decode_regions(outputs: Outputs, sizes: Sequence[tuple[int, int]], rules: Rules) -> list[dict[str, Tensor]]:
    """Decode the detections of each image: softmax, deltas of each class, NMS per class, the best `max_per_image`.

    Args:
        outputs: `images` [K], `boxes` [K, 4], `logits` [K, C], `deltas` [K, C - 1, 4] and `deltas_std` [4];
            `input_size`, and `scaling` if the images are padded (`src.detection.rpn.RpnHead`).
        sizes: (height, width) of each image before it was scaled; boxes are in its pixels and inside it.
        rules: thresholds, and the largest number.

    Returns:
        per image {boxes [N, 4], labels [N] from 1, scores [N]} by descending score; N may be 0.
    """
    probabilities = outputs["logits"].softmax(dim=1)[:, 1:]
    deltas = outputs["deltas"] * outputs["deltas_std"]
    detections = []
    for image, (seen, size) in enumerate(zip(seen_sizes(outputs, sizes), sizes, strict=True)):
        own = outputs["images"] == image
        scores = probabilities[own]
        rows, columns = (scores > rules.score_thresh).nonzero(as_tuple=True)
        boxes = clip(decode_deltas(outputs["boxes"][own][rows], deltas[own][rows, columns]), seen)
        large = ((boxes[:, 2:] - boxes[:, :2]) >= LEAST_SIDE).all(dim=1)  # not pushed out of the image
        boxes, columns = rescaled(boxes[large], seen, size), columns[large]
        best = scores[rows[large], columns]
        kept = batched_nms(boxes, best, columns, rules.nms_thresh)[: rules.max_per_image]
        detections.append({"boxes": boxes[kept], "labels": columns[kept] + 1, "scores": best[kept]})
    return detections
