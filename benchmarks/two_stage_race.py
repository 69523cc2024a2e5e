r"""Compare Faster R-CNN, or Fast R-CNN, with torchvision's: the same start, the same batches, step by step.

    python -m benchmarks.two_stage_race faster_rcnn --images data/prepared/voc.zip
    python -m benchmarks.two_stage_race fast_rcnn --images data/prepared/voc.zip \
      --proposals data/proposals/selective_search.npz

Numbers are those of the detector's section in params.yaml, for both networks; the RPN's convolution is as wide as the
backbone, and its box loss has a weight of 1, as in torchvision. All layers have the same values at the start: random
ones, and the backbone the weights of `--weights`. torchvision has no Fast R-CNN, so its RoIHeads get the proposals. In
each step both train on the same augmented batch, and then both detect in the same test images; they take turns at going
first. The printed ratios are medians over steps and over test batches. Errors are standard errors of a bootstrap over
the test images, and that of the difference is of the same resamples for both. They do not tell how far two trainings
differ by chance: for that take several `--seeds`. The last line then has the means over the seeds, and two errors of
the mean difference, one from the spread over the seeds and one from the bootstrap.
"""

import argparse
import json
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import ModuleType
from typing import Any, Self

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
from src.detection import rpn
from src.detection.batches import DetectionBatches
from src.detection.freezing import hold
from src.detection.region_head import SAMPLES
from src.detection.running import forward, read_proposals, takes_proposals
from src.detection.sizes import size_of
from src.evaluation.average_precision import mean_ap, voc07, voc_curves
from src.evaluation.bootstrap import draws, standard_error
from src.evaluation.outcomes import voc_outcomes
from src.evaluation.resampled_detections import voc07_map
from src.files.boxed_images import BoxedImages
from src.files.records import Record
from src.networks import starting_weights
from src.params import read_params
from stages.train_detector import Params

BATCH_SIZE = 16  # of the test


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


def raced(options: argparse.Namespace, data: BoxedImages, seed: int) -> tuple[dict[str, Any], np.ndarray]:
    """Train both networks and detect with both.

    Returns:
        their figures and the ratios of their times; and the difference of their mAP, ours minus torchvision's, in each
        resample of the test images.
    """
    torch.manual_seed(seed)
    module, section = chosen(options.params, options.detector)
    train, test, size = data.ids(options.train), data.ids(options.test), size_of(section.model)
    train = [name for name in train if without_difficult(data.target(name))["labels"].size]
    proposals = read_proposals(module, options.proposals, [*train, *test])
    ours = Ours(module, section, data.num_classes)
    if options.weights:
        starting_weights.load(ours.net.get_submodule("backbone"), torch.load(options.weights, weights_only=True))
    nets = [ours, Theirs(ours, data.num_classes)]
    nets = [net.train().to(memory_format=torch.channels_last) for net in nets]
    race = Race(nets, options.lr, cosine=options.steps if options.cosine else None)
    given: dict[str, Any] = {"seed": seed, "proposals": proposals}
    race.run(
        DetectionBatches(data, train, size, section.augment, batch_size=options.batch_size, **given),
        options.steps,
        torch.device("cpu"),
    )
    records, seconds = detected(nets, DetectionBatches(data, test, size, batch_size=BATCH_SIZE, **given))
    targets, counts = {name: data.target(name) for name in test}, draws(len(test))
    result: dict[str, Any] = {"detector": options.detector, "seed": seed, "steps": options.steps}
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
    difference = resampled[0] - resampled[1]
    result["error_of_difference"] = round(standard_error(difference), 4)
    result["step_ratio"] = round(float(np.median(np.divide(*race.seconds))), 3)
    result["test_ratio"] = round(float(np.median(seconds[:, 0] / seconds[:, 1])), 3)
    return result, difference


def over_seeds(results: Sequence[Mapping[str, Any]], differences: Sequence[np.ndarray]) -> dict[str, Any]:
    """Return the means of what `raced` gave for two or more seeds, and both errors of the mean difference."""
    names = ("ours", "torchvision")
    maps = np.array([[result[name]["map_voc07"] for name in names] for result in results])
    values = dict(zip(names, maps.mean(axis=0), strict=True))
    gaps = maps[:, 0] - maps[:, 1]
    values["difference"] = gaps.mean()
    values["error_by_seeds"] = gaps.std(ddof=1) / len(gaps) ** 0.5
    values["error_by_test_images"] = standard_error(np.mean(differences, axis=0))
    return {"seeds": [result["seed"] for result in results], **{name: round(float(values[name]), 4) for name in values}}


def main() -> None:
    """Print the figures as a line of JSON per seed, and the means over several seeds as one more."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("detector", choices=("fast_rcnn", "faster_rcnn"))
    parser.add_argument("--images", required=True)
    parser.add_argument("--params", type=Path, default=Path("params.yaml"))
    parser.add_argument("--weights", help="a state dict for the backbone; without it all layers start at random")
    parser.add_argument("--proposals", type=Path, help="of fast_rcnn")
    parser.add_argument("--train", default="train_extra")
    parser.add_argument("--test", default="test")
    parser.add_argument("--steps", type=int, default=300)
    parser.add_argument("--batch-size", type=int, default=16)
    parser.add_argument("--lr", type=float, default=0.02, help="of SGD with momentum, after 20 steps of warm-up")
    parser.add_argument("--cosine", action="store_true", help="the rate falls to 0 along a cosine; otherwise it stays")
    parser.add_argument("--seeds", type=int, nargs="+", default=[0])
    options = parser.parse_args()
    results, differences = [], []
    for seed in options.seeds:
        result, difference = raced(options, BoxedImages(options.images), seed)
        print(json.dumps(result), flush=True)
        results.append(result)
        differences.append(difference)
    if len(results) > 1:
        print(json.dumps(over_seeds(results, differences)))


if __name__ == "__main__":
    main()
