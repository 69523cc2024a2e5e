"""Our Faster R-CNN or Fast R-CNN, and torchvision's with the same numbers and the same values of all layers."""

from collections.abc import Mapping
from pathlib import Path
from types import ModuleType
from typing import Any, Self

import torch
from torch import Tensor, nn
from torchvision.models.detection import FasterRCNN
from torchvision.models.detection.anchor_utils import AnchorGenerator
from torchvision.models.detection.faster_rcnn import FastRCNNPredictor, TwoMLPHead
from torchvision.models.detection.rpn import RPNHead
from torchvision.ops import MultiScaleRoIAlign

from src import plugins
from src.detection import rpn
from src.detection.freezing import hold
from src.detection.region_head import SAMPLES
from src.detection.running import forward, takes_proposals
from src.params import read_params
from stages.train_detector import Params


def chosen(path: Path, name: str) -> tuple[ModuleType, Any]:
    """Return the detector's file and its section of a parameters file, with the two numbers that torchvision fixes."""
    module, section = plugins.section("detectors", read_params(path, Params).detectors, name)
    if takes_proposals(module):
        return module, section
    channels = rpn.backbone_of(section.model.backbone, section.model.width).channels[0]
    of_anchors = section.loss.rpn.model_copy(update={"box_weight": 1.0})
    changed = {
        "model": section.model.model_copy(update={"channels": channels}),
        "loss": section.loss.model_copy(update={"rpn": of_anchors}),
    }
    return module, section.model_copy(update=changed)


class Ours(nn.Module):
    """A detector of this project."""

    def __init__(self, module: ModuleType, section: Any, num_classes: int) -> None:
        super().__init__()
        self.module, self.section = module, section
        self.net = module.build(num_classes, section.model)

    def losses(self, batch: Mapping[str, Any]) -> Mapping[str, Tensor]:
        """Return the losses of its training."""
        outputs = forward(self.module, self.net, batch, self.section, learning=True)
        named: Mapping[str, Tensor] = self.module.loss(outputs, batch["targets"], self.section.loss)
        return named

    def found(self, batch: Mapping[str, Any], sizes: list[tuple[int, int]]) -> list[dict[str, Tensor]]:
        """Return detections in pixels of the original images, whose (height, width) are `sizes`."""
        outputs = forward(self.module, self.net, batch, self.section, learning=False)
        detections: list[dict[str, Tensor]] = self.module.decode(outputs, sizes, self.section.decode)
        return detections


class Body(nn.Module):
    """A backbone as torchvision's detectors take it."""

    def __init__(self, model: Any) -> None:
        super().__init__()
        self.body = rpn.backbone_of(model.backbone, model.width)
        self.out_channels = self.body.channels[0]

    def forward(self, images: Tensor) -> dict[str, Tensor]:
        """Return the map of images."""
        return {"0": self.body(images)[0]}


def of_rpn(section: Any) -> dict[str, Any]:
    """Return torchvision's options for the first stage."""
    model, loss, decode = section.model, section.loss, section.decode
    shapes = tuple(map(int, model.scales)), tuple(model.aspect_ratios)
    return {
        "rpn_anchor_generator": AnchorGenerator((shapes[0],), (shapes[1],)),
        "rpn_head": RPNHead(model.channels, len(shapes[0]) * len(shapes[1])),
        "rpn_pre_nms_top_n_train": loss.proposals.candidates,
        "rpn_pre_nms_top_n_test": decode.proposals.candidates,
        "rpn_post_nms_top_n_train": loss.proposals.max_per_image,
        "rpn_post_nms_top_n_test": decode.proposals.max_per_image,
        "rpn_nms_thresh": decode.proposals.nms_thresh,
        "rpn_fg_iou_thresh": loss.rpn.fg_iou_thresh,
        "rpn_bg_iou_thresh": loss.rpn.bg_iou_thresh,
        "rpn_batch_size_per_image": loss.rpn.anchors_per_image,
        "rpn_positive_fraction": loss.rpn.fg_fraction,
    }


def of_head(section: Any, channels: int, num_classes: int) -> dict[str, Any]:
    """Return torchvision's options for the second stage."""
    head, decode = section.model.head, section.decode
    loss = getattr(section.loss, "regions", section.loss)
    return {
        "box_roi_pool": MultiScaleRoIAlign(["0"], head.pool_size, SAMPLES),
        "box_head": TwoMLPHead(channels * head.pool_size**2, head.hidden),
        "box_predictor": FastRCNNPredictor(head.hidden, num_classes),
        "box_score_thresh": decode.score_thresh,
        "box_nms_thresh": decode.nms_thresh,
        "box_detections_per_img": decode.max_per_image,
        "box_fg_iou_thresh": loss.fg_iou_thresh,
        "box_bg_iou_thresh": loss.fg_iou_thresh,
        "box_batch_size_per_image": loss.regions_per_image,
        "box_positive_fraction": loss.fg_fraction,
        "bbox_reg_weights": tuple(1 / std for std in head.deltas_std),
    }


class Theirs(nn.Module):
    """torchvision's detector with the values of ours, for images that are already normalised."""

    def __init__(self, ours: Ours, num_classes: int) -> None:
        super().__init__()
        section, self.given = ours.section, takes_proposals(ours.module)
        self.side, self.freeze = section.model.size, section.model.freeze
        body = Body(section.model)
        plain = {"image_mean": [0.0] * 3, "image_std": [1.0] * 3, "min_size": self.side, "max_size": self.side}
        first = {} if self.given else of_rpn(section)
        self.net = FasterRCNN(body, **plain, **first, **of_head(section, body.out_channels, num_classes))
        self._start_as(ours.net)

    @torch.no_grad()
    def _start_as(self, ours: nn.Module) -> None:
        heads, own = self.net.roi_heads, ours.get_submodule("head")
        self.net.backbone.body.load_state_dict(ours.get_submodule("backbone").state_dict())
        linear = [layer for layer in own.get_submodule("layers") if isinstance(layer, nn.Linear)]
        pairs = [*zip([heads.box_head.fc6, heads.box_head.fc7], linear, strict=True)]
        pairs.append((heads.box_predictor.cls_score, own.get_submodule("classify")))
        for their_layer, our_layer in pairs:
            their_layer.load_state_dict(our_layer.state_dict())
        for name, value in own.get_submodule("regress").named_parameters():
            getattr(heads.box_predictor.bbox_pred, name)[4:] = value  # before them, those of the background
        if not self.given:
            values = zip(self.net.rpn.head.parameters(), ours.get_submodule("rpn").parameters(), strict=True)
            for their_value, our_value in values:
                their_value.copy_(our_value)

    def train(self, mode: bool = True) -> Self:
        """Set the mode of training; the layers that stand still in ours do so here."""
        super().train(mode)
        hold(self.net.backbone.body, self.freeze)
        return self

    def _run(self, batch: Mapping[str, Any], targets: Any) -> tuple[list[dict[str, Tensor]], Mapping[str, Tensor]]:
        if not self.given:
            result = self.net(list(batch["images"]), targets)
            return ([], result) if targets else (result, {})
        rows = batch["targets"]["proposals"]
        proposals = [boxes[(boxes[:, 2:] > boxes[:, :2]).all(dim=1)] for boxes in rows]
        features = self.net.backbone(batch["images"])
        found: tuple[Any, Any] = self.net.roi_heads(features, proposals, [(self.side, self.side)] * len(rows), targets)
        return found

    def losses(self, batch: Mapping[str, Any]) -> Mapping[str, Tensor]:
        """Return the losses of its own training."""
        rows = zip(batch["targets"]["boxes"], batch["targets"]["labels"], strict=True)
        return self._run(batch, [{"boxes": boxes[own > 0], "labels": own[own > 0]} for boxes, own in rows])[1]

    def found(self, batch: Mapping[str, Any], sizes: list[tuple[int, int]]) -> list[dict[str, Tensor]]:
        """Return detections in pixels of the original images, whose (height, width) are `sizes`."""
        records = self._run(batch, None)[0]
        for record, (height, width) in zip(records, sizes, strict=True):
            record["boxes"] = record["boxes"] * record["boxes"].new_tensor([width / self.side, height / self.side] * 2)
        return records
