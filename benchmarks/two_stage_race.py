r"""Compare Faster R-CNN, or Fast R-CNN, with torchvision's: the same start, the same batches, step by step.

    python -m benchmarks.two_stage_race faster_rcnn --images data/prepared/voc.zip --weights mobilenet_v2.pth
    python -m benchmarks.two_stage_race fast_rcnn --images data/prepared/voc.zip --weights mobilenet_v2.pth \
      --proposals data/proposals/selective_search.npz

Both networks are MobileNetV2 up to stride 16, at 256 pixels, with the given ImageNet weights; all their other layers
have the same random values. torchvision has no Fast R-CNN, so its RoIHeads get the proposals. In each step both train
on the same augmented batch, and then both detect in the same test images; they take turns at going first. The printed
ratios are medians over steps and over test batches. Errors are standard errors of a bootstrap over the test images, and
that of the difference is of the same resamples for both.
"""

import argparse
import json
import time
from collections.abc import Mapping
from pathlib import Path
from types import ModuleType
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor, nn
from torchvision.models.detection import FasterRCNN
from torchvision.models.detection.anchor_utils import AnchorGenerator
from torchvision.models.detection.faster_rcnn import FastRCNNPredictor, TwoMLPHead
from torchvision.models.detection.rpn import RPNHead
from torchvision.ops import MultiScaleRoIAlign

from benchmarks.against_torchvision import Race
from src import plugins
from src.boxes.matching import without_difficult
from src.detection.augmentation import Augment
from src.detection.batches import DetectionBatches
from src.detection.running import forward, read_proposals, takes_proposals
from src.detection.sizes import Size
from src.evaluation.average_precision import mean_ap, voc07, voc_curves
from src.evaluation.bootstrap import draws, standard_error
from src.evaluation.outcomes import voc_outcomes
from src.evaluation.resampled_detections import voc07_map
from src.files.boxed_images import BoxedImages
from src.files.records import Record
from src.networks import starting_weights

SIZE, CHANNELS, SIDE, HIDDEN = 256, 96, 7, 512
SCALES, RATIOS = [32.0, 64.0, 128.0, 224.0], [0.5, 1.0, 2.0]
AUGMENT = Augment(photometric=True, zoom_out=0.0, crop=True, flip=0.5)
CHOICE = {"include_gt": True, "regions_per_image": 64, "fg_fraction": 0.25, "fg_iou_thresh": 0.5, "bg_iou_min": 0.0}
PROPOSALS = {"candidates": 3072, "nms_thresh": 0.7, "min_side": 1e-3, "max_per_image": 300}
FOUND = {"score_thresh": 0.01, "nms_thresh": 0.3, "max_per_image": 100}
MODEL = {"backbone": "mobilenet_v2", "width": 1.0, "size": SIZE, "longest": None, "freeze": 0}
HEAD = {"pool": "align", "pool_size": SIDE, "hidden": HIDDEN, "dropout": 0.0, "deltas_std": [0.1, 0.1, 0.2, 0.2]}


class Rules(NamedTuple):
    """The parts of a detector's section that its network reads."""

    model: Any
    loss: Any
    decode: Any


def rules(module: ModuleType) -> Rules:
    """Return the numbers of both networks, for ours: those of profiles/local_cpu.yaml."""
    choice = {**CHOICE, "box_weight": 1.0}
    given: dict[str, Any] = {"model": {**MODEL, "head": HEAD}, "loss": {**choice, "max_proposals": 2000}}
    given["decode"] = {**FOUND, "max_proposals": 2000}
    if not takes_proposals(module):
        anchors = {"fg_iou_thresh": 0.7, "bg_iou_thresh": 0.3, "anchors_per_image": 64, "fg_fraction": 0.5}
        given["model"] |= {"channels": CHANNELS, "scales": SCALES, "aspect_ratios": RATIOS}
        rpn = {**anchors, "across_border": True, "box_weight": 1.0}
        given["loss"] = {"alternating": None, "rpn": rpn, "proposals": PROPOSALS, "regions": choice}
        given["decode"] = {**FOUND, "proposals": PROPOSALS}
    return Rules(*(getattr(module, name.title())(**given[name]) for name in Rules._fields))


class Ours(nn.Module):
    """A detector of this project."""

    def __init__(self, module: ModuleType, num_classes: int) -> None:
        super().__init__()
        self.module, self.rules = module, rules(module)
        self.net = module.build(num_classes, self.rules.model)

    def losses(self, batch: Mapping[str, Any]) -> Mapping[str, Tensor]:
        """Return the losses of its training."""
        outputs = forward(self.module, self.net, batch, self.rules, learning=True)
        named: Mapping[str, Tensor] = self.module.loss(outputs, batch["targets"], self.rules.loss)
        return named

    def found(self, batch: Mapping[str, Any], sizes: list[tuple[int, int]]) -> list[dict[str, Tensor]]:
        """Return detections in pixels of the original images, whose (height, width) are `sizes`."""
        outputs = forward(self.module, self.net, batch, self.rules, learning=False)
        detections: list[dict[str, Tensor]] = self.module.decode(outputs, sizes, self.rules.decode)
        return detections


class Body(nn.Module):
    """A backbone as torchvision's detectors take it."""

    out_channels = CHANNELS

    def __init__(self) -> None:
        super().__init__()
        self.body = plugins.load("backbones", MODEL["backbone"]).single(1.0)

    def forward(self, images: Tensor) -> dict[str, Tensor]:
        """Return the map of images."""
        return {"0": self.body(images)[0]}


class Theirs(nn.Module):
    """torchvision's detector with the values of ours, for images that are already normalised."""

    def __init__(self, ours: nn.Module, num_classes: int, given: bool) -> None:
        super().__init__()
        self.given = given  # whether proposals are an input
        self.net = FasterRCNN(
            Body(),
            image_mean=[0.0] * 3,
            image_std=[1.0] * 3,
            min_size=SIZE,
            max_size=SIZE,
            rpn_anchor_generator=AnchorGenerator((tuple(map(int, SCALES)),), (tuple(RATIOS),)),
            rpn_head=RPNHead(CHANNELS, len(SCALES) * len(RATIOS)),
            rpn_pre_nms_top_n_train=PROPOSALS["candidates"],
            rpn_pre_nms_top_n_test=PROPOSALS["candidates"],
            rpn_post_nms_top_n_train=PROPOSALS["max_per_image"],
            rpn_post_nms_top_n_test=PROPOSALS["max_per_image"],
            rpn_batch_size_per_image=64,
            box_roi_pool=MultiScaleRoIAlign(["0"], SIDE, 2),
            box_head=TwoMLPHead(CHANNELS * SIDE**2, HIDDEN),
            box_predictor=FastRCNNPredictor(HIDDEN, num_classes),
            box_score_thresh=FOUND["score_thresh"],
            box_nms_thresh=FOUND["nms_thresh"],
            box_detections_per_img=FOUND["max_per_image"],
            box_batch_size_per_image=CHOICE["regions_per_image"],
            box_positive_fraction=CHOICE["fg_fraction"],
        )
        heads, own = self.net.roi_heads, ours.get_submodule("head")
        self.net.backbone.body.load_state_dict(ours.get_submodule("backbone").state_dict())
        linear = [layer for layer in own.get_submodule("layers") if isinstance(layer, nn.Linear)]
        pairs = [*zip([heads.box_head.fc6, heads.box_head.fc7], linear, strict=True)]
        pairs.append((heads.box_predictor.cls_score, own.get_submodule("classify")))
        with torch.no_grad():
            for their_layer, our_layer in pairs:
                their_layer.load_state_dict(our_layer.state_dict())
            for name, value in own.get_submodule("regress").named_parameters():
                getattr(heads.box_predictor.bbox_pred, name)[4:] = value  # before them, those of the background
            if not given:
                values = zip(self.net.rpn.head.parameters(), ours.get_submodule("rpn").parameters(), strict=True)
                for their_value, our_value in values:
                    their_value.copy_(our_value)

    def _run(self, batch: Mapping[str, Any], targets: Any) -> tuple[list[dict[str, Tensor]], Mapping[str, Tensor]]:
        if not self.given:
            result = self.net(list(batch["images"]), targets)
            return ([], result) if targets else (result, {})
        rows = batch["targets"]["proposals"]
        proposals = [boxes[(boxes[:, 2:] > boxes[:, :2]).all(dim=1)] for boxes in rows]
        features = self.net.backbone(batch["images"])
        found: tuple[Any, Any] = self.net.roi_heads(features, proposals, [(SIZE, SIZE)] * len(rows), targets)
        return found

    def losses(self, batch: Mapping[str, Any]) -> Mapping[str, Tensor]:
        """Return the losses of its own training."""
        rows = zip(batch["targets"]["boxes"], batch["targets"]["labels"], strict=True)
        return self._run(batch, [{"boxes": boxes[own > 0], "labels": own[own > 0]} for boxes, own in rows])[1]

    def found(self, batch: Mapping[str, Any], sizes: list[tuple[int, int]]) -> list[dict[str, Tensor]]:
        """Return detections in pixels of the original images, whose (height, width) are `sizes`."""
        records = self._run(batch, None)[0]
        for record, (height, width) in zip(records, sizes, strict=True):
            record["boxes"] = record["boxes"] * record["boxes"].new_tensor([width / SIZE, height / SIZE] * 2)
        return records


def detected(nets: list[nn.Module], batches: DetectionBatches) -> tuple[list[dict[str, Record]], np.ndarray]:
    """Detect with both networks in turns; return their detections by image, and the seconds per image [batches, 2]."""
    records: list[dict[str, Record]] = [{} for _ in nets]
    seconds = []
    with torch.inference_mode():
        for index in batches.epoch(0):
            batch, taken = batches[index], [0.0 for _ in nets]
            sizes = [batches.data.size(image_id) for image_id in batch["ids"]]
            for which in (0, 1) if index % 2 == 0 else (1, 0):
                start = time.perf_counter()
                found = nets[which].eval().found(batch, sizes)  # type: ignore[operator]
                taken[which] = (time.perf_counter() - start) / len(sizes)
                for image_id, record in zip(batch["ids"], found, strict=True):
                    records[which][image_id] = {name: value.numpy() for name, value in record.items()}
            seconds.append(taken)
    return records, np.array(seconds)


def raced(options: argparse.Namespace, data: BoxedImages) -> dict[str, Any]:
    """Train both networks and detect with both; return their figures, and the ratios of their times."""
    torch.manual_seed(options.seed)
    module = plugins.load("detectors", options.detector)
    train, test = data.ids(options.train), data.ids(options.test)
    train = [name for name in train if without_difficult(data.target(name))["labels"].size]
    proposals = read_proposals(module, options.proposals, [*train, *test])
    ours = Ours(module, data.num_classes)
    starting_weights.load(ours.net.get_submodule("backbone"), torch.load(options.weights, weights_only=True))
    nets = [ours, Theirs(ours.net, data.num_classes, takes_proposals(module))]
    nets = [net.to(memory_format=torch.channels_last) for net in nets]
    given: dict[str, Any] = {"batch_size": options.batch_size, "proposals": proposals}
    race = Race(nets, options.lr)
    batches = DetectionBatches(data, train, Size(SIZE), AUGMENT, seed=options.seed, **given)
    race.run(batches, options.steps, torch.device("cpu"))
    records, seconds = detected(nets, DetectionBatches(data, test, Size(SIZE), **given))
    targets, counts = {name: data.target(name) for name in test}, draws(len(test))
    result: dict[str, Any] = {"detector": options.detector, "seed": options.seed, "steps": options.steps}
    resampled = []
    for which, name in enumerate(("ours", "torchvision")):
        resampled.append(voc07_map(voc_outcomes(records[which], targets, data.classes), counts))
        values = {
            "map_voc07": mean_ap(map(voc07, voc_curves(records[which], targets, data.classes).values())),
            "standard_error": standard_error(resampled[which]),
            "first_loss": race.losses[which][0],
            "last_losses": float(np.mean(race.losses[which][-max(1, options.steps // 10) :])),
            "training_images_per_second": options.batch_size / float(np.median(race.seconds[which])),
            "test_images_per_second": 1 / float(np.median(seconds[:, which])),
        }
        result[name] = {key: round(value, 4) for key, value in values.items()}
    result["error_of_difference"] = round(standard_error(resampled[0] - resampled[1]), 4)
    result["step_ratio"] = round(float(np.median(np.divide(*race.seconds))), 3)
    result["test_ratio"] = round(float(np.median(seconds[:, 0] / seconds[:, 1])), 3)
    return result


def main() -> None:
    """Print the figures as a line of JSON."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("detector", choices=("fast_rcnn", "faster_rcnn"))
    parser.add_argument("--images", required=True)
    parser.add_argument("--weights", required=True, help="a state dict of torchvision's mobilenet_v2")
    parser.add_argument("--proposals", type=Path, help="of fast_rcnn")
    parser.add_argument("--train", default="trainval")
    parser.add_argument("--test", default="test")
    parser.add_argument("--steps", type=int, default=300)
    parser.add_argument("--batch-size", type=int, default=8)
    parser.add_argument("--lr", type=float, default=0.01, help="of SGD with momentum, after 20 steps of warm-up")
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    print(json.dumps(raced(options, BoxedImages(options.images))))


if __name__ == "__main__":
    main()
