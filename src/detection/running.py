"""A dense detector from its file and its section: how it starts, and what it finds on images."""

from collections.abc import Sequence
from types import ModuleType
from typing import Any

import torch
from lightning_fabric.utilities import move_data_to_device
from torch import nn
from tqdm import tqdm

from src import plugins
from src.detection.batches import DetectionBatches
from src.files.boxed_images import BoxedImages
from src.files.records import Record
from src.networks import starting_weights
from src.params import Section

BATCH_SIZE = 32  # no parameter: it changes the speed, not the detections


def class_agnostic(name: str) -> bool:
    """Whether the detector's label 1 is any object, whatever the classes of the data: its file then says so."""
    return getattr(plugins.load("detectors", name), "CLASS_AGNOSTIC", False)


def start(
    module: ModuleType, section: Any, num_classes: int, weights: dict[str, torch.Tensor], seed: int
) -> tuple[nn.Module, list[str]]:
    """The untrained network, and the layers that start at random although others do not.

    Args:
        module: the detector's file.
        section: its parameters.
        num_classes: with background.
        weights: of the backbone, by torchvision's names; none leaves all at random.
        seed: of the random values.
    """
    torch.manual_seed(seed)
    model: nn.Module = module.build(num_classes, section.model)
    model = model.to(memory_format=torch.channels_last)  # twice as fast on a CPU
    if not weights:
        return model, []
    backbone = model.get_submodule("backbone")
    starting_weights.load(backbone, weights, f"detectors.{module.__name__.rpartition('.')[2]}.weights")
    known = {f"backbone.{name}" for name in weights}
    return model, list(dict.fromkeys(name.rpartition(".")[0] for name in model.state_dict() if name not in known))


def measure(
    module: ModuleType, model: nn.Module, section: Any, data: DetectionBatches, device: torch.device
) -> dict[str, float]:
    """Losses on images, and what the detector's `count` and `figures` make of them where it has these.

    Args:
        module: the detector's file.
        model: the network, in eval mode on `device`.
        section: its parameters.
        data: the images, none of them left out, and not augmented.
        device: where the network is.

    Returns:
        `loss`, the sum; each loss by its name, the mean over the images; the figures by their names.
    """
    losses: dict[str, float] = {}
    counts: dict[str, float] = {}
    for index in data.epoch(0):
        batch = move_data_to_device(data[index], device)
        outputs = model(batch["images"])
        share = len(batch["ids"]) / len(data.image_ids)
        for name, value in module.loss(outputs, batch["targets"], section.loss).items():
            losses[name] = losses.get(name, 0.0) + float(value) * share
        if hasattr(module, "count"):
            for name, value in module.count(outputs, batch["targets"], section.loss).items():
                counts[name] = counts.get(name, 0.0) + float(value)
    return {"loss": sum(losses.values()), **losses, **(module.figures(counts) if counts else {})}


def detect(
    module: ModuleType, model: nn.Module, section: Any, data: BoxedImages, ids: Sequence[str], device: torch.device
) -> dict[str, Record]:
    """Detections of images: {boxes [K, 4], labels [K], scores [K]} by image id, in the images' own pixels."""
    rules: Section = section.decode
    batches = DetectionBatches(data, ids, section.model.size, batch_size=BATCH_SIZE)
    model = model.to(device).eval()
    found: dict[str, Record] = {}
    with torch.inference_mode():
        for index in tqdm(batches.epoch(0), desc="detect", mininterval=1.0):
            batch = batches[index]
            outputs = model(batch["images"].to(device))
            sizes = [data.size(image_id) for image_id in batch["ids"]]
            for image_id, record in zip(batch["ids"], module.decode(outputs, sizes, rules), strict=True):
                found[image_id] = {name: value.cpu().numpy() for name, value in record.items()}
    return found
