"""Compare SSD300 and the RPN with torchvision's: the same weights, the same batches, step by step.

    python -m benchmarks.against_torchvision ssd300 --images data/prepared/voc.zip --weights vgg16.pth --steps 100
    python -m benchmarks.against_torchvision rpn --images data/prepared/voc.zip --weights vgg16.pth --steps 100

Both networks are VGG16 at 300 pixels with the given ImageNet weights, and their heads have the same random values. In
each step both train on the same augmented batch, and they take turns at going first. The printed ratio is the median of
the ratios of all steps.
"""

import argparse
import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torchvision.models.detection import ssd300_vgg16
from torchvision.models.detection.anchor_utils import AnchorGenerator
from torchvision.models.detection.image_list import ImageList
from torchvision.models.detection.rpn import RegionProposalNetwork, RPNHead

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

Batch = Mapping[str, Any]
Sizes = Sequence[tuple[int, int]]


class TheirSsd(nn.Module):
    """torchvision's SSD, for images that are already normalised."""

    def __init__(self, ours: nn.Module, num_classes: int) -> None:
        super().__init__()
        plain = {"image_mean": [0.0] * 3, "image_std": [1.0] * 3}
        self.net = ssd300_vgg16(weights=None, weights_backbone=None, num_classes=num_classes, **plain)
        with torch.no_grad():
            self.net.backbone.scale_weight.copy_(ours.get_parameter("backbone.norm.scale"))
            our_values = [value for name, value in ours.named_parameters() if not name.endswith("norm.scale")]
            their_values = [value for name, value in self.net.named_parameters() if not name.endswith("scale_weight")]
            for our_value, their_value in zip(our_values, their_values, strict=True):
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

    def __init__(self, ours: nn.Module) -> None:
        super().__init__()
        anchors = AnchorGenerator((tuple(map(int, RPN_MODEL.scales)),), (tuple(RPN_MODEL.aspect_ratios),))
        head = RPNHead(512, anchors.num_anchors_per_location()[0])
        few = {"training": RPN_DECODE.max_per_image, "testing": RPN_DECODE.max_per_image}
        many = {"training": RPN_DECODE.candidates, "testing": RPN_DECODE.candidates}
        self.backbone = rpn.build(2, RPN_MODEL).get_submodule("backbone")
        self.net = RegionProposalNetwork(anchors, head, 0.7, 0.3, 256, 0.5, many, few, 0.7)
        self.backbone.load_state_dict(ours.get_submodule("backbone").state_dict())
        with torch.no_grad():
            for our_value, their_value in zip(list(ours.parameters())[-6:], head.parameters(), strict=True):
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
    return {**record, "boxes": record["boxes"] * torch.tensor([size[1] / SIZE, size[0] / SIZE] * 2)}


def pair(detector: str, num_classes: int, weights: Mapping[str, Tensor]) -> tuple[nn.Module, nn.Module]:
    """Build our network and torchvision's with the same weights."""
    ours = OurSsd(num_classes) if detector == "ssd300" else OurRpn()
    starting_weights.load(ours.net.get_submodule("backbone"), weights)
    return ours, TheirSsd(ours.net, num_classes) if detector == "ssd300" else TheirRpn(ours.net)


def race(pairs: Sequence[nn.Module], data: DetectionBatches, steps: int, lr: float) -> list[list[float]]:
    """Train all networks in turns, step by step; return a list of seconds per step for each network."""
    optimizers = [torch.optim.SGD(net.parameters(), lr=lr, momentum=0.9, weight_decay=5e-4) for net in pairs]
    seconds: list[list[float]] = [[] for _ in pairs]
    for step in range(steps):
        batch = data[step]
        order = range(len(pairs)) if step % 2 == 0 else reversed(range(len(pairs)))
        totals = {}
        for index in order:
            start = time.perf_counter()
            for group in optimizers[index].param_groups:
                group["lr"] = lr * min(1, (step + 1) / 20)
            total = torch.stack(list(pairs[index].losses(batch).values())).sum()  # type: ignore[operator]
            optimizers[index].zero_grad()
            total.backward()
            nn.utils.clip_grad_norm_(pairs[index].parameters(), 10.0)
            optimizers[index].step()
            seconds[index].append(time.perf_counter() - start)
            totals[index] = total.item()
        if step % 10 == 0:
            print(f"step {step}: losses {totals[0]:.3f} and {totals[1]:.3f}", flush=True)
    return seconds


def found(net: nn.Module, data: BoxedImages, split: str) -> dict[str, Record]:
    """Return the detections or proposals of a network on every image of a split."""
    batches = DetectionBatches(data, data.ids(split), Size(SIZE), batch_size=16)
    net.eval()
    records: dict[str, Record] = {}
    with torch.inference_mode():
        for index in batches.epoch(0):
            batch = batches[index]
            sizes = [data.size(image_id) for image_id in batch["ids"]]
            for image_id, record in zip(batch["ids"], net.found(batch["images"], sizes), strict=True):  # type: ignore[operator]
                records[image_id] = {name: value.numpy() for name, value in record.items()}
    return records


def scored(detector: str, data: BoxedImages, split: str) -> Callable[[nn.Module], dict[str, float]]:
    """Return a function that computes the figures of a network on a split."""
    targets = {image_id: data.target(image_id) for image_id in data.ids(split)}

    def figures(net: nn.Module) -> dict[str, float]:
        records = found(net, data, split)
        if detector == "ssd300":
            return {"map_voc07": mean_ap(map(voc07, voc_curves(records, targets, data.classes).values()))}
        boxes = {image_id: record["boxes"] for image_id, record in records.items()}
        return {f"recall_50_at_{k}": recall(best_overlaps(boxes, targets, k)[0], 0.5) for k in (10, 100, 300)}

    return figures


def main() -> None:
    """Print the figures of both networks and the ratio of their speeds."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("detector", choices=("ssd300", "rpn"))
    parser.add_argument("--images", required=True)
    parser.add_argument("--weights", required=True, help="a state dict of torchvision's vgg16")
    parser.add_argument("--train", default="trainval")
    parser.add_argument("--test", default="test")
    parser.add_argument("--steps", type=int, default=100)
    parser.add_argument("--batch-size", type=int, default=8)
    parser.add_argument("--lr", type=float, default=1e-3)
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    torch.manual_seed(options.seed)
    data = BoxedImages(options.images)
    nets = pair(options.detector, data.num_classes, torch.load(options.weights, weights_only=True))
    batches = DetectionBatches(
        data,
        [image_id for image_id in data.ids(options.train) if len(data.target(image_id)["boxes"])],
        Size(SIZE),
        AUGMENT,
        batch_size=options.batch_size,
        seed=options.seed,
    )
    figures = scored(options.detector, data, options.test)
    seconds = race(nets, batches, options.steps, options.lr)
    rates = [options.batch_size / np.median(taken) for taken in seconds]
    for name, net, rate in zip(("ours", "torchvision's"), nets, rates, strict=True):
        print(name, {key: round(value, 4) for key, value in figures(net).items()}, f"{rate:.2f} images per second")
    ratio = np.median(np.array(seconds[0]) / np.array(seconds[1]))
    print(f"our step takes {ratio:.3f} of the time of torchvision's (median of {options.steps} paired steps)")


if __name__ == "__main__":
    main()
