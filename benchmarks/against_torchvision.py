r"""Compare SSD300 and the RPN with torchvision's: the same weights, the same batches, step by step.

    python -m benchmarks.against_torchvision ssd300 --images data/prepared/voc.zip --weights vgg16.pth --steps 100
    python -m benchmarks.against_torchvision rpn --images data/prepared/voc.zip --weights vgg16.pth --steps 100
    python -m benchmarks.against_torchvision ssd300 --images data/prepared/voc.zip --weights vgg16.pth --steps 2000 \
      --own-start --seeds 0 1 2 --out own_start.jsonl

Both networks are VGG16 at 300 pixels with the given ImageNet weights, and all their other layers have the same random
values. With `--own-start` each network starts as it starts itself, but for VGG16's convolutions, so a bad start shows.
In each step both train on the same augmented batch, and they take turns at going first. The printed ratio is the median
of the ratios of all steps. Each seed adds a line of JSON to the file `--out`; a seed that has its line there is left
out, and one that was interrupted goes on from its last state, so the same command resumes.
"""

import argparse
import json
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torchvision.models.detection import ssd300_vgg16
from torchvision.models.detection.anchor_utils import AnchorGenerator
from torchvision.models.detection.image_list import ImageList
from torchvision.models.detection.rpn import RegionProposalNetwork, RPNHead

from benchmarks.race import Race
from src.backbones import vgg16
from src.boxes.matching import without_difficult
from src.detection.augmentation import Augment
from src.detection.batches import DetectionBatches
from src.detection.sizes import Size
from src.detectors import rpn, ssd300
from src.evaluation.average_precision import mean_ap, voc07, voc_curves
from src.evaluation.proposal_recall import best_overlaps, recall
from src.files.boxed_images import BoxedImages
from src.files.records import Record
from src.networks import starting_weights

SIZE = 300
AUGMENT = Augment(photometric=True, zoom_out=0.5, crop=True, flip=0.5)
SSD_MODEL = ssd300.Model(
    backbone="vgg16",
    width=1.0,
    size=SIZE,
    extra_channels=[512, 256, 256, 256],
    first_scale=0.07,
    smallest_scale=0.15,
    largest_scale=0.87,
    aspect_ratios=[[2.0], [2.0, 3.0], [2.0, 3.0], [2.0, 3.0], [2.0], [2.0]],
    scales=None,
    strides=[8.0, 16.0, 32.0, 64.0, 100.0, 300.0],
    variances=[0.1, 0.1, 0.2, 0.2],
)
SSD_LOSS = ssd300.Loss(iou_thresh=0.5, negatives_per_positive=3.0, box_weight=1.0)
SSD_DECODE = ssd300.Decode(score_thresh=0.01, candidates=400, nms_thresh=0.45, max_per_image=200)
RPN_MODEL = rpn.Model(
    backbone="vgg16",
    width=1.0,
    size=SIZE,
    longest=None,
    channels=512,
    scales=[64.0, 128.0, 256.0],
    aspect_ratios=[0.5, 1.0, 2.0],
)
RPN_LOSS = rpn.Loss(
    fg_iou_thresh=0.7,
    bg_iou_thresh=0.3,
    anchors_per_image=256,
    fg_fraction=0.5,
    across_border=True,
    box_weight=1.0,
)
RPN_DECODE = rpn.Decode(candidates=6000, nms_thresh=0.7, min_side=1e-3, max_per_image=1000)

CONVOLUTIONS = 26  # tensors of VGG16's convolutions, the first of both SSDs
Batch = Mapping[str, Any]
Sizes = Sequence[tuple[int, int]]


class TheirSsd(nn.Module):
    """torchvision's SSD, for images that are already normalised."""

    def __init__(self, ours: nn.Module, num_classes: int, own_start: bool) -> None:
        super().__init__()
        plain = {"image_mean": [0.0] * 3, "image_std": [1.0] * 3}
        self.net = ssd300_vgg16(weights=None, weights_backbone=None, num_classes=num_classes, **plain)
        with torch.no_grad():
            our_values = [value for name, value in ours.named_parameters() if not name.endswith("norm.scale")]
            their_values = [value for name, value in self.net.named_parameters() if not name.endswith("scale_weight")]
            pairs = list(zip(our_values, their_values, strict=True))
            for our_value, their_value in pairs[: CONVOLUTIONS if own_start else None]:
                their_value.copy_(our_value)

    def losses(self, batch: Batch) -> Mapping[str, Tensor]:
        """Return the losses of its own training."""
        return self.net(list(batch["images"]), _listed(batch["targets"]))

    def found(self, images: Tensor, sizes: Sizes) -> list[dict[str, Tensor]]:
        """Return detections in pixels of the original images, whose (height, width) are `sizes`."""
        return [_scaled(record, size) for record, size in zip(self.net(list(images)), sizes, strict=True)]


class OurSsd(nn.Module):
    """The SSD of this project."""

    def __init__(self, num_classes: int) -> None:
        super().__init__()
        self.net = ssd300.build(num_classes, SSD_MODEL)

    def losses(self, batch: Batch) -> Mapping[str, Tensor]:
        """Return the losses of its training."""
        return ssd300.loss(self.net(batch["images"]), batch["targets"], SSD_LOSS)

    def found(self, images: Tensor, sizes: Sizes) -> list[dict[str, Tensor]]:
        """Return detections in pixels of the original images, whose (height, width) are `sizes`."""
        return ssd300.decode(self.net(images), sizes, SSD_DECODE)


class TheirRpn(nn.Module):
    """torchvision's RPN on our backbone, with torchvision's anchors."""

    def __init__(self, ours: nn.Module, own_start: bool) -> None:
        super().__init__()
        anchors = AnchorGenerator((tuple(map(int, RPN_MODEL.scales)),), (tuple(RPN_MODEL.aspect_ratios),))
        head = RPNHead(512, anchors.num_anchors_per_location()[0])
        few = {"training": RPN_DECODE.max_per_image, "testing": RPN_DECODE.max_per_image}
        many = {"training": RPN_DECODE.candidates, "testing": RPN_DECODE.candidates}
        self.backbone = rpn.build(2, RPN_MODEL).get_submodule("backbone")
        self.net = RegionProposalNetwork(anchors, head, 0.7, 0.3, 256, 0.5, many, few, 0.7)
        self.backbone.load_state_dict(ours.get_submodule("backbone").state_dict())
        if own_start:
            return
        with torch.no_grad():
            layers = [ours.get_submodule(name) for name in ("conv", "objectness", "regress")]
            our_values = [value for layer in layers for value in layer.parameters()]
            for our_value, their_value in zip(our_values, head.parameters(), strict=True):
                their_value.copy_(our_value)

    def _run(self, images: Tensor, targets: Any) -> Any:
        image_list = ImageList(images, [(SIZE, SIZE)] * len(images))
        return self.net(image_list, {"0": self.backbone(images)[0]}, targets)

    def losses(self, batch: Batch) -> Mapping[str, Tensor]:
        """Return the losses of its own training, in which it also computes proposals, as in Faster R-CNN."""
        return self._run(batch["images"], _listed(batch["targets"]))[1]

    def found(self, images: Tensor, sizes: Sizes) -> list[dict[str, Tensor]]:
        """Return proposals in pixels of the original images, whose (height, width) are `sizes`."""
        proposals, _ = self._run(images, None)
        return [_scaled({"boxes": boxes}, size) for boxes, size in zip(proposals, sizes, strict=True)]


class OurRpn(nn.Module):
    """The RPN of this project."""

    def __init__(self) -> None:
        super().__init__()
        self.net = rpn.build(2, RPN_MODEL)

    def losses(self, batch: Batch) -> Mapping[str, Tensor]:
        """Return the losses of its training."""
        return rpn.loss(self.net(batch["images"]), batch["targets"], RPN_LOSS)

    def found(self, images: Tensor, sizes: Sizes) -> list[dict[str, Tensor]]:
        """Return proposals in pixels of the original images, whose (height, width) are `sizes`."""
        return rpn.decode(self.net(images), sizes, RPN_DECODE)


def _listed(targets: Mapping[str, Tensor]) -> list[dict[str, Tensor]]:
    """Return one dictionary per image, as torchvision takes them, without padding."""
    rows = zip(targets["boxes"], targets["labels"], strict=True)
    return [{"boxes": boxes[labels > 0], "labels": labels[labels > 0]} for boxes, labels in rows]


def _scaled(record: Mapping[str, Tensor], size: tuple[int, int]) -> dict[str, Tensor]:
    return {**record, "boxes": record["boxes"] * record["boxes"].new_tensor([size[1] / SIZE, size[0] / SIZE] * 2)}


def pair(
    detector: str, num_classes: int, weights: Mapping[str, Tensor], own_start: bool = False
) -> tuple[nn.Module, nn.Module]:
    """Build our network and torchvision's: with the same weights, or each with its own start beside VGG16's weights."""
    ours = OurSsd(num_classes) if detector == "ssd300" else OurRpn()
    if weights:
        starting_weights.load(ours.net.get_submodule("backbone"), vgg16.adapted(weights))
    if detector == "ssd300":
        return ours, TheirSsd(ours.net, num_classes, own_start)
    return ours, TheirRpn(ours.net, own_start)


def found(net: nn.Module, data: BoxedImages, ids: Sequence[str], device: torch.device) -> dict[str, Record]:
    """Return the detections or proposals of a network on images."""
    batches = DetectionBatches(data, ids, Size(SIZE), batch_size=16)
    net.eval()
    records: dict[str, Record] = {}
    with torch.inference_mode():
        for index in batches.epoch(0):
            batch = batches[index]
            sizes = [data.size(image_id) for image_id in batch["ids"]]
            for image_id, record in zip(batch["ids"], net.found(batch["images"].to(device), sizes), strict=True):  # type: ignore[operator]
                records[image_id] = {name: value.cpu().numpy() for name, value in record.items()}
    return records


def scored(
    detector: str, data: BoxedImages, ids: Sequence[str], device: torch.device
) -> Callable[[nn.Module], dict[str, float]]:
    """Return a function that computes the figures of a network on images."""
    targets = {image_id: data.target(image_id) for image_id in ids}

    def figures(net: nn.Module) -> dict[str, float]:
        records = found(net, data, ids, device)
        if detector == "ssd300":
            return {"map_voc07": mean_ap(map(voc07, voc_curves(records, targets, data.classes).values()))}
        boxes = {image_id: record["boxes"] for image_id, record in records.items()}
        return {f"recall_50_at_{k}": recall(best_overlaps(boxes, targets, k)[0], 0.5) for k in (10, 100, 300)}

    return figures


def compared(options: argparse.Namespace, data: BoxedImages, seed: int) -> dict[str, Any]:
    """Train both networks from one seed; return their figures, losses and speeds, and the ratio of their times."""
    torch.manual_seed(seed)
    device = torch.device(options.device)
    weights = torch.load(options.weights, weights_only=True) if options.weights else {}
    nets = pair(options.detector, data.num_classes, weights, options.own_start)
    state = options.out and Path(f"{options.out}.seed{seed}.pt")
    race = Race([net.to(device) for net in nets], options.lr, state)
    with_objects = [
        image_id for image_id in data.ids(options.train) if without_difficult(data.target(image_id))["labels"].size
    ]
    batches = DetectionBatches(data, with_objects, Size(SIZE), AUGMENT, batch_size=options.batch_size, seed=seed)
    race.run(batches, options.steps, device, options.workers)
    figures = scored(options.detector, data, data.ids(options.test)[: options.test_images], device)
    result: dict[str, Any] = {"seed": seed, "steps": options.steps, "own_start": options.own_start}
    for name, net, losses, seconds in zip(("ours", "torchvision"), nets, race.losses, race.seconds, strict=True):
        last = float(np.mean(losses[-max(1, len(losses) // 10) :]))
        rate = options.batch_size / float(np.median(seconds))
        values = {"first_loss": losses[0], "last_losses": last, **figures(net), "images_per_second": rate}
        result[name] = {key: round(value, 4) for key, value in values.items()}
    result["time_ratio"] = round(float(np.median(np.array(race.seconds[0]) / np.array(race.seconds[1]))), 3)
    if state:
        state.unlink(missing_ok=True)
    return result


def main() -> None:
    """Print a line per seed: the figures of both networks, and the ratio of our step's time to torchvision's."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("detector", choices=("ssd300", "rpn"))
    parser.add_argument("--images", required=True)
    parser.add_argument("--weights", help="a state dict of torchvision's vgg16; without it all layers start at random")
    parser.add_argument("--own-start", action="store_true", help="each network has its own start beside these weights")
    parser.add_argument("--train", default="trainval")
    parser.add_argument("--test", default="test")
    parser.add_argument("--test-images", type=int, help="number of images to measure on; all by default")
    parser.add_argument("--steps", type=int, default=100)
    parser.add_argument("--batch-size", type=int, default=8)
    parser.add_argument("--lr", type=float, default=1e-3)
    parser.add_argument("--seeds", type=int, nargs="+", default=[0])
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--workers", type=int, default=0, help="processes that make the batches")
    parser.add_argument("--out", help="a file for the lines; the same command resumes from it")
    options = parser.parse_args()
    data, out = BoxedImages(options.images), Path(options.out) if options.out else None
    done = [json.loads(line) for line in out.read_text().splitlines()] if out and out.exists() else []
    keys = {"steps": options.steps, "own_start": options.own_start}
    torch.backends.cudnn.benchmark = True  # as in the stages; on a CPU it changes nothing
    for seed in options.seeds:
        if any(row.items() >= {**keys, "seed": seed}.items() for row in done):
            continue
        result = compared(options, data, seed)
        print(json.dumps(result), flush=True)
        if out:
            with out.open("a") as file:
                file.write(json.dumps(result) + "\n")


if __name__ == "__main__":
    main()
