"""Fast R-CNN (Girshick 2015, arXiv:1504.08083): convolutions once per image, and one network for each proposal.

Its proposals are an input: those of selective search, or of the RPN. It differs from Faster R-CNN only in this, and has
the same head. Classes and boxes learn at once, from one multi-task loss; with `loss.stage_wise` the boxes learn after
the classes. B images, P proposals of an image, K regions of all images, C classes including background.
"""

from collections.abc import Mapping, Sequence
from typing import Annotated, Self

import torch
from pydantic import Field, model_validator
from torch import Tensor, nn

from src.detection.augmentation import Augment
from src.detection.freezing import Freeze, HeldBackbone, check_taught
from src.detection.region_head import Head, RegionHead
from src.detection.regions import Choice, Rules, choose, decode_regions, region_loss, together
from src.detection.rpn import backbone_of
from src.detection.sizes import Size, size_of
from src.detection.steps import Steps
from src.params import Count, Positive, Section
from src.training.settings import TrainOverrides

Outputs = Mapping[str, Tensor]
TWO_STAGE = True  # the network chooses regions, so its forward also takes their rules
PROPOSALS = True  # an input: data/proposals/NAME.npz, of the method that the section's `proposals` names


class Model(Section):
    """The network."""

    backbone: str
    width: Positive
    size: Count
    longest: Count | None
    freeze: Freeze
    head: Head


class Loss(Choice):
    """The regions to learn from, and the loss."""

    stage_wise: Annotated[list[Count], Field(min_length=2, max_length=2)] | None
    max_proposals: Count

    @model_validator(mode="after")
    def _learns(self) -> Self:
        if self.stage_wise is not None and self.box_weight == 0:
            raise ValueError(
                f"stage_wise = {self.stage_wise} with box_weight = 0: nothing would learn in the second step; raise "
                "box_weight, or set stage_wise to null"
            )
        return self


class Decode(Rules):
    """Proposals at the test, and post-processing; changing these parameters never retrains."""

    max_proposals: Count


class Params(Section):
    """The section `detectors.fast_rcnn`."""

    proposals: str
    weights: str
    new_layer_lr: Positive
    model: Model
    loss: Loss
    augment: Augment
    train: TrainOverrides = TrainOverrides()
    decode: Decode

    @model_validator(mode="after")
    def _taught(self) -> Self:
        check_taught(self.model.freeze, self.weights)
        return self


class FastRcnn(HeldBackbone):
    """A backbone, and a head for the proposals."""

    deltas_std: Tensor

    def __init__(self, num_classes: int, model: Model) -> None:
        super().__init__()
        self.backbone = backbone_of(model.backbone, model.width)
        self.head = RegionHead(self.backbone.channels[0], num_classes, model.head)
        self.size: Size = size_of(model)
        self.freeze = model.freeze
        self.register_buffer("deltas_std", torch.tensor(model.head.deltas_std), persistent=False)

    def forward(
        self, images: Tensor, proposals: Tensor, rules: Loss | Decode, targets: Mapping[str, Tensor] | None = None
    ) -> dict[str, Tensor]:
        """Classify the first `max_proposals` proposals, or with `targets` those of them that the loss learns from.

        Args:
            images: [B, 3, H, W].
            proposals: [B, P, 4] in pixels of the input; rows without an area are padding; P may be 0.
            rules: the section's `loss` with `targets`, and its `decode` without.
            targets: `boxes` [B, M, 4] and `labels` [B, M], padded (`src.detection.targets`).

        Returns:
            `logits` [K, C], `deltas` [K, C - 1, 4] divided by `deltas_std` [4], and `images` [K] and `boxes` [K, 4] of
            the regions; with `targets` also their `labels` and `objects` (`src.detection.regions.Chosen`).
            `input_size`, and `scaling` for padded images (`src.detection.rpn.RpnHead`). K may be 0.
        """
        given = [boxes[(boxes[:, 2:] > boxes[:, :2]).all(dim=1)][: rules.max_proposals] for boxes in proposals]
        if isinstance(rules, Loss) and targets is not None:
            regions = choose(given, targets, rules)._asdict()
        else:
            regions = dict(zip(("images", "boxes"), together(given), strict=True))
        features = self.backbone(images)[0]
        stride = images.shape[3] / features.shape[3]
        logits, deltas = self.head(features, regions["images"], regions["boxes"], stride)
        shape = {"input_size": torch.tensor(images.shape[2:])}
        if self.size.longest is not None:
            shape["scaling"] = torch.tensor(self.size)
        return {**shape, **regions, "logits": logits, "deltas": deltas, "deltas_std": self.deltas_std}


class StageWise(Steps):
    """A Fast R-CNN whose boxes learn after its classes: the paper's stage-wise training (Sec. 5.1, Table 6).

    In step 1 everything but the layer of the corrections learns, from the loss of the classes alone. In step 2 this
    layer alone learns, from the loss of the boxes alone.
    """

    key = "stage_wise"
    learning = (("net.backbone", "net.head.layers", "net.head.classify"), ("net.head.regress",))

    def forward(
        self, images: Tensor, proposals: Tensor, rules: Loss | Decode, targets: Mapping[str, Tensor] | None = None
    ) -> dict[str, Tensor]:
        """Compute the outputs of the network; in training mode without `deltas` in step 1, without `logits` in step 2.

        Arguments are those of the network.
        """
        outputs: dict[str, Tensor] = self.net(images, proposals, rules, targets)
        if self.training:
            del outputs["deltas" if self.step == 0 else "logits"]
        return outputs


STEPS = StageWise  # its training in steps, with `loss.stage_wise`


def build(num_classes: int, model: Model) -> nn.Module:
    """Build the network with random weights; `num_classes` includes background."""
    return FastRcnn(num_classes, model)


def loss(outputs: Outputs, targets: Mapping[str, Tensor], rules: Loss) -> dict[str, Tensor]:
    """Compute the multi-task loss, `class_loss` and `box_loss` (`src.detection.regions.region_loss`).

    In a stage-wise training the outputs of a step lack the logits or the deltas, and the loss of these.
    """
    return region_loss(outputs, rules)


def decode(outputs: Outputs, sizes: Sequence[tuple[int, int]], rules: Decode) -> list[dict[str, Tensor]]:
    """Decode the detections of each image (`src.detection.regions.decode_regions`)."""
    return decode_regions(outputs, sizes, rules)
