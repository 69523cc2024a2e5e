"""Faster R-CNN (Ren et al. 2015, arXiv:1506.01497): an RPN and Fast R-CNN's head on one feature map.

Both are trained at once, as in the paper's approximate joint training: the losses are summed, and no gradient goes
through the coordinates of the proposals. With `loss.alternating` they are trained in the paper's four alternating
steps. B images, N anchors, K regions of all images, C classes including background.
"""

from collections.abc import Mapping, Sequence
from typing import Self

import torch
from pydantic import model_validator
from torch import Tensor, nn

from src.detection.alternating import Alternating, Epochs
from src.detection.anchor_loss import Loss as AnchorLoss
from src.detection.anchor_loss import loss as loss_of_anchors
from src.detection.augmentation import Augment
from src.detection.freezing import Freeze, HeldBackbone, check_taught
from src.detection.region_head import Head, RegionHead
from src.detection.regions import Choice, Rules, choose, decode_regions, region_loss, together
from src.detection.rpn import Decode as Proposals
from src.detection.rpn import Model as RpnModel
from src.detection.rpn import RpnHead, backbone_of, check_trainable, propose
from src.params import Positive, Section
from src.training.settings import TrainOverrides

Outputs = Mapping[str, Tensor]
TWO_STAGE = True  # the network chooses regions, so its forward also takes their rules
STEPS = Alternating  # its training in steps, with `loss.alternating`


class Model(RpnModel):
    """The network."""

    freeze: Freeze
    head: Head


class Loss(Section):
    """The losses of both stages, and the proposals that the second one learns from."""

    alternating: Epochs | None
    rpn: AnchorLoss
    proposals: Proposals
    regions: Choice


class Decode(Rules):
    """Proposals at the test, and post-processing; changing these parameters never retrains."""

    proposals: Proposals


class Params(Section):
    """The section `detectors.faster_rcnn`."""

    weights: str
    new_layer_lr: Positive
    model: Model
    loss: Loss
    augment: Augment
    train: TrainOverrides = TrainOverrides()
    decode: Decode

    @model_validator(mode="after")
    def _trainable(self) -> Self:
        if not self.loss.rpn.across_border:
            check_trainable(self.model, "loss.rpn.across_border")
        check_taught(self.model.freeze, self.weights)
        return self


class FasterRcnn(HeldBackbone):
    """A backbone, the RPN's layers, and a head for its proposals."""

    deltas_std: Tensor

    def __init__(self, num_classes: int, model: Model) -> None:
        super().__init__()
        self.backbone = backbone_of(model.backbone, model.width)
        channels = self.backbone.channels[0]
        self.rpn, self.head = RpnHead(channels, model), RegionHead(channels, num_classes, model.head)
        self.freeze = model.freeze
        self.register_buffer("deltas_std", torch.tensor(model.head.deltas_std), persistent=False)

    def forward(
        self, images: Tensor, sizes: Tensor, rules: Loss | Decode, targets: Mapping[str, Tensor] | None = None
    ) -> dict[str, Tensor]:
        """Propose regions and classify them, or with `targets` those of them that the loss learns from.

        Args:
            images: [B, 3, H, W].
            sizes: int [B, 2], the height and width of each image in the input, without padding.
            rules: the section's `loss` with `targets`, and its `decode` without; both hold the numbers of proposals.
            targets: `boxes` [B, M, 4] and `labels` [B, M], padded (`src.detection.targets`).

        Returns:
            `logits` [K, C], `deltas` [K, C - 1, 4] divided by `deltas_std` [4], and `images` [K] and `boxes` [K, 4] of
            the regions; with `targets` also their `labels` and `objects` (`src.detection.regions.Chosen`). Of the RPN
            (`src.detection.rpn.RpnHead`): `anchor_logits`, `anchor_deltas`, `anchors`, `input_size`, and `scaling` for
            padded images. K may be 0.
        """
        features = self.backbone(images)[0]
        anchored = self.anchored(features, images)
        return {**anchored, **self.classified(features, images, self.regions(anchored, sizes, rules, targets))}

    def anchored(self, features: Tensor, images: Tensor) -> dict[str, Tensor]:
        """Compute the outputs of the RPN from the map of images: those of `forward` that are per anchor or image."""
        outputs = self.rpn.anchored(features, images)
        del outputs["shape_scales"]
        return {"anchor_logits": outputs.pop("logits"), "anchor_deltas": outputs.pop("deltas"), **outputs}

    @torch.no_grad()
    def regions(
        self,
        anchored: Mapping[str, Tensor],
        sizes: Tensor,
        rules: Loss | Decode,
        targets: Mapping[str, Tensor] | None = None,
    ) -> dict[str, Tensor]:
        """Propose regions, and with `targets` choose those of them that the loss learns from; no gradient.

        Args:
            anchored: outputs of `anchored`.
            sizes, rules, targets: as in `forward`.
        """
        seen = [(height, width) for height, width in sizes.tolist()]
        floats = {"logits": anchored["anchor_logits"].float(), "deltas": anchored["anchor_deltas"].float()}
        proposals = [boxes for boxes, _ in propose({**anchored, **floats}, seen, seen, rules.proposals)]
        if isinstance(rules, Loss) and targets is not None:
            return choose(proposals, targets, rules.regions)._asdict()
        return dict(zip(("images", "boxes"), together(proposals), strict=True))

    def classified(self, features: Tensor, images: Tensor, regions: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """Compute the outputs of the head for regions of the map of images, and return them with the regions."""
        stride = images.shape[3] / features.shape[3]
        logits, deltas = self.head(features, regions["images"], regions["boxes"], stride)
        return {**regions, "logits": logits, "deltas": deltas, "deltas_std": self.deltas_std}


def build(num_classes: int, model: Model) -> nn.Module:
    """Build the network with random weights; `num_classes` includes background."""
    return FasterRcnn(num_classes, model)


def loss(outputs: Outputs, targets: Mapping[str, Tensor], rules: Loss) -> dict[str, Tensor]:
    """Compute the losses of the RPN, `rpn_objectness_loss` and `rpn_box_loss`, and of the regions.

    Those of the regions are `class_loss` and `box_loss` (`src.detection.regions.region_loss`). All four are summed
    (Ren et al. 2015, Sec. 3.2). In an alternating step the outputs are those of one stage, which alone has losses.
    """
    named: dict[str, Tensor] = {}
    if "anchor_logits" in outputs:
        of_anchors = {
            "logits": outputs["anchor_logits"],
            "deltas": outputs["anchor_deltas"],
            "anchors": outputs["anchors"],
        }
        found = loss_of_anchors(of_anchors, targets, rules.rpn)
        named = {f"rpn_{name}": value for name, value in found.items()}
    return {**named, **region_loss(outputs, rules.regions)} if "logits" in outputs else named


def decode(outputs: Outputs, sizes: Sequence[tuple[int, int]], rules: Decode) -> list[dict[str, Tensor]]:
    """Decode the detections of each image (`src.detection.regions.decode_regions`)."""
    return decode_regions(outputs, sizes, rules)
