"""Labels of the RPN's anchors, and its loss (Ren et al. 2015, Faster R-CNN, Sec. 3.1.2). B images, N anchors."""

from collections.abc import Mapping

import torch
from torch import Tensor
from torch.nn import functional

from src.boxes.geometry import encode
from src.boxes.matching import BACKGROUND, IGNORED, OBJECT
from src.detection.anchors import inside
from src.detection.sampling import sample
from src.detection.targets import NEVER, overlaps
from src.params import Count, Fraction, NonNegative, Section
from src.training.processes import averaged

Outputs = Mapping[str, Tensor]
SMOOTH_L1_BETA = 1 / 9  # sigma 3 of the released code


class Loss(Section):
    """The labels of the anchors, and the loss."""

    fg_iou_thresh: Fraction
    bg_iou_thresh: Fraction
    anchors_per_image: Count | None
    fg_fraction: Fraction
    across_border: bool
    box_weight: NonNegative


def label_anchors(boxes: Tensor, targets: Mapping[str, Tensor], rules: Loss) -> tuple[Tensor, Tensor]:
    """Label anchors 1 object, 0 background, -1 ignored (Sec. 3.1.2; the paper: neither positive nor negative).

    An anchor is positive if no other anchor overlaps some object more, whatever the IoU (all anchors of a tie are
    positive), or if its IoU with an object is `fg_iou_thresh` or more. It is negative if it is not positive and its IoU
    with every object is below `bg_iou_thresh`. An anchor that crosses the image's border is ignored unless
    `across_border`; an anchor whose centre is in the padding is always ignored.

    Args:
        boxes: [N, 4], the anchors.
        targets: `boxes` [B, M, 4] and `labels` [B, M], padded (`src.detection.targets`), and `sizes` [B, 2].
        rules: thresholds, and `across_border`.

    Returns:
        labels [B, N], and the overlaps [B, M, N] for `matched_objects`. An image without objects has no label 1.
    """
    usable = inside(boxes, targets["sizes"], rules.across_border)
    found = overlaps(targets, boxes).masked_fill_(~usable[:, None], NEVER)
    best = found.amax(dim=1)
    labels = torch.full_like(best, IGNORED, dtype=torch.int64)
    labels[best < rules.bg_iou_thresh] = BACKGROUND
    labels[best >= rules.fg_iou_thresh] = OBJECT
    images, _, ties = _best_of_an_object(found, found.amax(dim=2)).nonzero(as_tuple=True)
    labels[images, ties] = OBJECT
    return labels.masked_fill_(~usable, IGNORED), found


def _best_of_an_object(found: Tensor, most: Tensor) -> Tensor:
    """Find the overlaps [..., N] that are the largest of their object, `most` [...]; none of an object without any."""
    return found == most.masked_fill(most <= 0, torch.inf)[..., None]


def matched_objects(found: Tensor, images: Tensor, anchors: Tensor, rules: Loss) -> Tensor:
    """Return the object [P] of each positive anchor.

    It is the object with the largest overlap. An anchor that is positive only because an object has no better one is
    matched to that object.

    Args:
        found: overlaps [B, M, N] of `label_anchors`.
        images: [P], the image of each positive anchor.
        anchors: [P], its number.
        rules: thresholds.
    """
    own = found[images, :, anchors]  # [P, M]
    reasons = _best_of_an_object(own[..., None], found.amax(dim=2)[images])[..., 0]
    reasons |= own.amax(dim=1, keepdim=True) >= rules.fg_iou_thresh
    return own.masked_fill_(~reasons, NEVER).argmax(dim=1)


def objectness_loss(logits: Tensor, labels: Tensor) -> Tensor:
    """Compute sum(mask * BCE) / (1e-6 + sum(mask)) with mask = label is not ignored; 0 if all labels are ignored.

    Ignored anchors are removed before the loss, not multiplied by 0 after it: 0 times infinity is NaN.
    """
    mask = labels != IGNORED
    each = functional.binary_cross_entropy_with_logits(logits[mask], labels[mask].float(), reduction="none")
    return each.sum() / (1e-6 + averaged(mask.sum()))


def loss(outputs: Outputs, targets: Mapping[str, Tensor], rules: Loss) -> dict[str, Tensor]:
    """Compute `objectness_loss` and `box_loss` (Sec. 3.1.2, Eq. 1).

    Per image, a random choice of `anchors_per_image` anchors counts, at most `fg_fraction` of them objects (Sec.
    3.1.3). If `anchors_per_image` is None, all labelled anchors count, as in the tutorial. The smooth L1 loss of the
    positive anchors is summed, divided by the number of anchors that count, and multiplied by `box_weight`. With the
    paper's 256 anchors and about 2,400 cells, its lambda of 10 is a weight of about 1 here.
    """
    labels, found = label_anchors(outputs["anchors"], targets, rules)
    if rules.anchors_per_image is not None:
        labels = sample(labels, rules.anchors_per_image, rules.fg_fraction)
    images, positive = (labels == OBJECT).nonzero(as_tuple=True)
    objects = targets["boxes"][images, matched_objects(found, images, positive, rules)]
    deltas = encode(outputs["anchors"][positive], objects)
    boxes = functional.smooth_l1_loss(outputs["deltas"][images, positive], deltas, beta=SMOOTH_L1_BETA, reduction="sum")
    count = averaged((labels != IGNORED).sum(), least=1)
    return {
        "objectness_loss": objectness_loss(outputs["logits"], labels),
        "box_loss": rules.box_weight * boxes / count,
    }
