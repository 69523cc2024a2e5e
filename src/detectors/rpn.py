"""The region proposal network (Ren et al. 2015, Faster R-CNN, Sec. 3.1), which finds objects of any class.

It predicts a score and a correction for each anchor in every cell of one feature map. B images, N anchors.
"""

from collections.abc import Mapping, Sequence
from typing import Self, cast

import torch
from pydantic import model_validator
from torch import Tensor, nn
from torch.nn import functional
from torchvision.ops import nms

from src import plugins
from src.boxes.geometry import clip, encode
from src.boxes.geometry import decode as decode_deltas
from src.boxes.matching import BACKGROUND, IGNORED, OBJECT
from src.detection.anchors import anchors, kept_anchors
from src.detection.augmentation import Augment
from src.detection.sampling import sample
from src.detection.sizes import Size, rescaled, size_of
from src.detection.targets import NEVER, overlaps
from src.params import Count, Fraction, NonNegative, Positive, Section
from src.training.settings import TrainOverrides

Outputs = Mapping[str, Tensor]
CLASS_AGNOSTIC = True  # label 1 is any object
SMOOTH_L1_BETA = 1 / 9  # sigma 3 of the released code
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

    @model_validator(mode="after")
    def _trainable(self) -> Self:
        if not self.loss.across_border and (shapes := _never_inside(self.model)):
            height, width = size_of(self.model).largest
            raise ValueError(
                f"loss.across_border = false and model.scales do not fit together: every anchor of {', '.join(shapes)} "
                f"(scale x aspect ratio) crosses the border of an input of {height} x {width} pixels, so nothing "
                "trains it; set loss.across_border to true, or take smaller model.scales or a larger model.size"
            )
        return self


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
    return [name for name, inside in zip(names, fits.tolist(), strict=True) if not inside]


class Rpn(nn.Module):
    """A backbone, a 3 x 3 convolution, and two 1 x 1 heads."""

    def __init__(self, model: Model) -> None:
        super().__init__()
        self.backbone = plugins.load("backbones", model.backbone).single(model.width)
        self.conv = nn.Conv2d(self.backbone.channels[0], model.channels, 3, padding=1)
        self.scales, self.aspect_ratios = tuple(model.scales), tuple(model.aspect_ratios)
        self.size = size_of(model)
        count = len(model.scales) * len(model.aspect_ratios)
        self.objectness, self.regress = nn.Conv2d(model.channels, count, 1), nn.Conv2d(model.channels, count * 4, 1)
        for layer in (self.conv, self.objectness, self.regress):
            nn.init.normal_(layer.weight, std=0.01)  # Sec. 3.1.3
            nn.init.constant_(cast(Tensor, layer.bias), 0)

    def forward(self, images: Tensor) -> dict[str, Tensor]:
        """Compute `logits` [B, N], `deltas` [B, N, 4] and `anchors` [N, 4] from images [B, 3, H, W].

        `input_size` [2] is (H, W), `shape_scales` [A] is the scale of each shape of anchor. `scaling` [2] is only there
        for padded images: the rule `Size`, which tells the size of an image without its padding.
        """
        features = self.backbone(images)[0]
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


def build(num_classes: int, model: Model) -> nn.Module:
    """Build the network with random weights; it does not distinguish classes, so `num_classes` has no effect."""
    return Rpn(model)


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
    inside = _inside(boxes, targets["sizes"], rules.across_border)
    found = overlaps(targets, boxes).masked_fill_(~inside[:, None], NEVER)
    best = found.amax(dim=1)
    labels = torch.full_like(best, IGNORED, dtype=torch.int64)
    labels[best < rules.bg_iou_thresh] = BACKGROUND
    labels[best >= rules.fg_iou_thresh] = OBJECT
    images, _, ties = _best_of_an_object(found, found.amax(dim=2)).nonzero(as_tuple=True)
    labels[images, ties] = OBJECT
    return labels.masked_fill_(~inside, IGNORED), found


def _inside(boxes: Tensor, sizes: Tensor, across_border: bool) -> Tensor:
    """Find the anchors [N, 4] that an image may use, bool [B, N]; `sizes` [B, 2] are its height and width."""
    height, width = sizes[:, :1], sizes[:, 1:]
    if across_border:
        x, y = ((boxes[:, :2] + boxes[:, 2:]) / 2).unbind(dim=1)
        return (x < width) & (y < height)
    left, top, right, bottom = boxes.unbind(dim=1)
    return (left >= 0) & (top >= 0) & (right <= width) & (bottom <= height)


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
    return each.sum() / (1e-6 + mask.sum())


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
    count = (labels != IGNORED).sum().clamp(min=1)
    return {
        "objectness_loss": objectness_loss(outputs["logits"], labels),
        "box_loss": rules.box_weight * boxes / count,
    }


def count(outputs: Outputs, targets: Mapping[str, Tensor], rules: Loss) -> dict[str, int]:
    """Count the labelled, the positive, the predicted positive and the correctly found anchors, for `figures`.

    `positive_0` and so on count the positive anchors of each shape.
    """
    labels, _ = label_anchors(outputs["anchors"], targets, rules)
    positive, called = labels == OBJECT, (outputs["logits"] > 0) & (labels != IGNORED)
    of_shapes = positive.reshape(-1, len(outputs["shape_scales"])).sum(dim=0).tolist()
    return {
        "labelled": int((labels != IGNORED).sum()),
        "positive": int(positive.sum()),
        "called": int(called.sum()),
        "found": int((called & positive).sum()),
        **{f"positive_{shape}": number for shape, number in enumerate(of_shapes)},
    }


def figures(counts: Mapping[str, float]) -> dict[str, float]:
    """Compute precision and recall of the positive anchors, and the accuracy over all labelled ones.

    The accuracy alone means little: background as a constant answer already reaches `accuracy_always_background`.
    `shapes_without_label` is the number of anchor shapes that are positive in none of these images.
    """
    labelled, positive = max(counts["labelled"], 1), counts["positive"]
    wrong = positive + counts["called"] - 2 * counts["found"]
    return {
        "precision": counts["found"] / max(counts["called"], 1),
        "recall": counts["found"] / max(positive, 1),
        "accuracy": 1 - wrong / labelled,
        "accuracy_always_background": 1 - positive / labelled,
        "shapes_without_label": sum(not value for name, value in counts.items() if name.startswith("positive_")),
    }


def decode(outputs: Outputs, sizes: Sequence[tuple[int, int]], rules: Decode) -> list[dict[str, Tensor]]:
    """Decode the proposals of each image: move the best anchors, clip them, and drop small boxes and near duplicates.

    Args:
        outputs: outputs of the network.
        sizes: (height, width) of each image before it was scaled; boxes are in its pixels and inside it.
        rules: the section's `decode`.

    Returns:
        per image {boxes [K, 4], labels [K] (all 1, "object"), scores [K]} by descending score; K may be 0.
    """
    scaling = Size(*outputs["scaling"].tolist()) if "scaling" in outputs else None
    anchors, proposals = outputs["anchors"], []
    for logits, deltas, size in zip(outputs["logits"], outputs["deltas"], sizes, strict=True):
        seen = scaling.scaled(size) if scaling else tuple(outputs["input_size"].tolist())
        if scaling:  # the best anchors are those of the image, none of the padding
            inside = _inside(outputs["anchors"], torch.tensor([seen], device=logits.device), across_border=True)[0]
            anchors, logits, deltas = outputs["anchors"][inside], logits[inside], deltas[inside]
        best, rows = logits.topk(min(rules.candidates, len(logits)))
        boxes = rescaled(clip(decode_deltas(anchors[rows], deltas[rows]), seen), seen, size)
        large = ((boxes[:, 2:] - boxes[:, :2]) >= max(rules.min_side, 1e-3)).all(dim=1)
        boxes, best = boxes[large], best[large]
        kept = nms(boxes, best, rules.nms_thresh)[: rules.max_per_image]
        proposals.append({"boxes": boxes[kept], "labels": torch.ones_like(kept), "scores": best[kept].sigmoid()})
    return proposals
