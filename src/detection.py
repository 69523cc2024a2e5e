"""A dense detector from its file and its section: how it starts, and what it finds on images."""

from collections.abc import Sequence
from types import ModuleType
from typing import Any

import torch
from torch import nn
from tqdm import tqdm

from src import plugins, pretrained
from src.augmentation import transform
from src.detection_batches import DetectionBatches
from src.params import Section
from src.records import Record
from src.samples import Samples

BATCH_SIZE = 32  # no parameter: it changes the speed, not the detections


def section_of(detectors: dict[str, Any], name: str) -> tuple[ModuleType, Any]:
    """The detector's file and its part of the parameters."""
    module = plugins.load("detectors", name)
    return module, module.Params.model_validate(detectors[name])


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
    if not weights:
        return model, []
    backbone = model.get_submodule("backbone")
    pretrained.load(backbone, weights, f"detectors.{module.__name__.rpartition('.')[2]}.weights")
    known = {f"backbone.{name}" for name in weights}
    return model, list(dict.fromkeys(name.rpartition(".")[0] for name in model.state_dict() if name not in known))


def detect(
    module: ModuleType, model: nn.Module, section: Any, samples: Samples, ids: Sequence[str], device: torch.device
) -> dict[str, Record]:
    """Detections of images: {boxes [K, 4], labels [K], scores [K]} by image id, in the images' own pixels."""
    rules: Section = section.decode
    data = DetectionBatches(samples, ids, transform(section.model.size), batch_size=BATCH_SIZE, seed=0, shuffle=False)
    model = model.to(device).eval()
    found: dict[str, Record] = {}
    with torch.inference_mode():
        for index in tqdm(data.epoch(0), desc="detect", mininterval=1.0):
            batch = data[index]
            outputs = model(batch["images"].to(device))
            sizes = [samples.size(image_id) for image_id in batch["ids"]]
            for image_id, record in zip(batch["ids"], module.decode(outputs, sizes, rules), strict=True):
                found[image_id] = {name: value.cpu().numpy() for name, value in record.items()}
    return found
