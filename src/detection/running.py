"""Start, measure and run a dense detector, given its file and its section of params.yaml."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import partial
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import torch
from torch import nn
from tqdm import tqdm

from src import plugins
from src.detection.batches import DetectionBatches
from src.detection.sizes import size_of
from src.errors import InputError
from src.files.boxed_images import BoxedImages
from src.files.records import Record, read_records
from src.files.shards import Shards
from src.networks import starting_weights
from src.params import Section
from src.training.loading import Loader

# (function, items, label) -> results
Share = Callable[[Callable[[int], dict[str, Record]], Sequence[int], str], list[dict[str, Record]]]

BATCH_SIZE = 32  # not a parameter: it changes the speed, not the detections (`detect`)


def class_agnostic(name: str) -> bool:
    """Check if label 1 of the detector is any object, whatever the classes of the data; its file declares this."""
    return getattr(plugins.load("detectors", name), "CLASS_AGNOSTIC", False)


def two_stage(module: ModuleType) -> bool:
    """Check if the detector's network chooses regions and then classifies them; its file declares this."""
    return getattr(module, "TWO_STAGE", False)


def takes_proposals(module: ModuleType) -> bool:
    """Check if the detector's input is proposals beside images; its file declares this."""
    return getattr(module, "PROPOSALS", False)


def read_proposals(module: ModuleType, path: Path | None, ids: Sequence[str]) -> dict[str, np.ndarray] | None:
    """Read the proposals [N, 4] of images by id, in pixels of the image; None for a detector that takes none.

    A file that is missing, or that the detector does not take, is an `InputError`.
    """
    if takes_proposals(module) != (path is not None):
        takes = "takes proposals: give --proposals" if path is None else "takes no proposals: leave out --proposals"
        raise InputError(f"{module.__name__.rpartition('.')[2]} {takes}")
    return None if path is None else {name: record["boxes"] for name, record in read_records(path, ids).items()}


def forward(module: ModuleType, model: nn.Module, batch: Mapping[str, Any], section: Any, *, learning: bool) -> Any:
    """Compute the network's outputs for a batch, for its loss (`learning`) or for its detections.

    The network of a detector with two stages also gets the sizes of the images in the input, or their proposals, and
    the section that holds the numbers of its regions, `loss` or `decode`; and for its loss the objects, of which it
    chooses regions.

    Args:
        module: the detector's file.
        model: the network.
        batch: `images`, and `targets` with `sizes` or `proposals` and, for the loss, with objects.
        section: the detector's parameters.
        learning: whether the outputs are for the loss, whatever the mode of the network.
    """
    if not two_stage(module):
        return model(batch["images"])
    targets = batch["targets"]
    given = targets["proposals" if takes_proposals(module) else "sizes"]
    if learning:
        return model(batch["images"], given, section.loss, targets)
    return model(batch["images"], given, section.decode)


def start(
    module: ModuleType, section: Any, num_classes: int, weights: dict[str, torch.Tensor], seed: int
) -> tuple[nn.Module, list[str]]:
    """Build the network, and list the layers that start at random while others are pretrained.

    Args:
        module: the detector's file.
        section: the detector's parameters.
        num_classes: including background.
        weights: weights of the backbone by torchvision's names, which the backbone's file may adapt. Without any, all
            layers start at random.
        seed: seed of the random values.
    """
    torch.manual_seed(seed)
    model: nn.Module = module.build(num_classes, section.model)
    model = model.to(memory_format=torch.channels_last)  # twice as fast on a CPU
    if not weights:
        return model, []
    key = f"detectors.{module.__name__.rpartition('.')[2]}.weights"
    adapted = getattr(plugins.load("backbones", section.model.backbone), "adapted", dict)
    return model, starting_weights.load(model, adapted(weights), key, part="backbone")


def measure(
    module: ModuleType,
    model: nn.Module,
    section: Any,
    loader: Loader,
    detections: dict[str, Record] | None = None,
) -> dict[str, float]:
    """Compute the losses on images, and the detector's own `figures` if it has them.

    A loss or a network that chooses at random, as the RPN's loss, makes the same choice in each call: the batches' seed
    and the number of the batch decide, and the random state is restored.

    Args:
        module: the detector's file.
        model: the network, in eval mode on the loader's device.
        section: the detector's parameters.
        loader: the loader of `DetectionBatches` that are not augmented; none of the images is left out.
        detections: if given, it gets the detections of each image, as `detect` returns them.

    Returns:
        `loss`, the sum of all losses; each loss by its name, as a mean over the batches weighted by their images; the
        figures by their names.
    """
    data = loader.data
    assert isinstance(data, DetectionBatches)
    losses: dict[str, float] = {}
    counts: dict[str, float] = {}
    for index, batch in enumerate(loader.on_device(data.epoch(0))):
        share = len(batch["ids"]) / len(data.image_ids)
        with data.drawing(index):
            outputs = forward(module, model, batch, section, learning=True)
            named = module.loss(outputs, batch["targets"], section.loss)
        for name, value in named.items():
            losses[name] = losses.get(name, 0.0) + float(value) * share
        if hasattr(module, "count"):
            for name, value in module.count(outputs, batch["targets"], section.loss).items():
                counts[name] = counts.get(name, 0.0) + float(value)
        if detections is not None:
            if two_stage(module):
                outputs = forward(module, model, batch, section, learning=False)
            detections.update(_decoded(module, section, outputs, batch["ids"], data.data))
    return {"loss": sum(losses.values()), **losses, **(module.figures(counts) if counts else {})}


def detect(
    module: ModuleType,
    model: nn.Module,
    section: Any,
    data: BoxedImages,
    ids: Sequence[str],
    device: torch.device | str,
    workers: int = 0,
    *,
    batch_size: int = BATCH_SIZE,
    proposals: Mapping[str, np.ndarray] | None = None,
    share: Share | None = None,
    parts: Shards | None = None,
) -> dict[str, Record]:
    """Detect objects: {boxes [K, 4], labels [K], scores [K]} by image id, in pixels of the image; K may be 0.

    `workers` processes prepare the images; 0: this process prepares them itself. `batch_size` changes only the speed.
    With `longest` it is 1 in any case: the padding of a batch depends on its largest image, and would reach the
    detections of the others. `proposals` [N, 4] by image id are those of a detector that takes them. On a CPU, the
    processes of `share`, such as a cluster's `map`, take the batches, each with as many threads as PyTorch has here, so
    that sums have one order. `parts` keeps the detections of each batch if the run is stopped.
    """
    device, size = torch.device(device), size_of(section.model)
    most = batch_size if size.longest is None else 1
    batches = DetectionBatches(data, ids, size, batch_size=most, proposals=proposals)
    batches.keep_none()
    model = model.to(device).eval()
    detections: dict[str, Record] = {} if parts is None else parts.records()
    items = [item for item in batches.epoch(0) if not detections.keys() >= set(batches.ids(item))]
    if share is not None and device.type == "cpu":
        one = partial(_of_batch, module, model, section, batches, torch.get_num_threads(), parts)
        for found in share(one, items, "detect"):
            detections.update(found)
        return {image_id: detections[image_id] for image_id in ids}
    with torch.inference_mode():
        loaded = Loader(batches, workers, device).on_device(items)
        for item, batch in zip(items, tqdm(loaded, total=len(items), desc="detect", mininterval=1.0), strict=True):
            outputs = forward(module, model, batch, section, learning=False)
            found = dict(_decoded(module, section, outputs, batch["ids"], data))
            detections.update(found)
            if parts is not None:
                parts.keep_records(item, found)
    return {image_id: detections[image_id] for image_id in ids}


def _of_batch(
    module: ModuleType,
    model: nn.Module,
    section: Any,
    batches: DetectionBatches,
    threads: int,
    parts: Shards | None,
    index: int,
) -> dict[str, Record]:
    """Detect in one batch, in a process of `Share`, which has one thread before and after."""
    torch.set_num_threads(threads)
    batch = batches[index]
    with torch.inference_mode():
        outputs = forward(module, model, batch, section, learning=False)
        found = dict(_decoded(module, section, outputs, batch["ids"], batches.data))
    if parts is not None:
        parts.keep_records(index, found)
    return found


def _decoded(
    module: ModuleType, section: Any, outputs: Any, ids: Sequence[str], data: BoxedImages
) -> Iterator[tuple[str, Record]]:
    rules: Section = section.decode
    sizes = [data.size(image_id) for image_id in ids]
    for image_id, record in zip(ids, module.decode(outputs, sizes, rules), strict=True):
        yield image_id, {name: value.cpu().numpy() for name, value in record.items()}
