"""Features of every region of every image, computed once: what the SVMs and the box regression learn from.

Two files: the regions (records of `boxes`, `is_gt` and `flipped` for each image) and one array of half precision [R, D]
whose rows follow them in order. The array is written and read as a memory map: memory stays bounded for any number of
images.
"""

import shutil
from collections.abc import Iterator, Mapping, Sequence
from functools import partial
from pathlib import Path

import numpy as np
import torch
from pydantic import field_validator
from torch import nn

from src.assign import best_match, plain
from src.errors import InputError
from src.parallel import parallel_map
from src.params import Fraction, Positive, Section
from src.rcnn import network
from src.rcnn.warp import Warp, normalize, warp
from src.records import Record, read_records
from src.samples import Samples, Target
from src.storage import atomic

CHUNK = 8  # images that one process takes at a time
BYTES = 2  # of a half-precision number
SCALE_ROWS = 10_000


class Features(Section):
    """Which regions are described, and by which layer."""

    proposals: str
    layer: str
    flip_iou_thresh: Fraction | None
    norm: Positive

    @field_validator("layer")
    @classmethod
    def _known(cls, layer: str) -> str:
        if not set(layer.split("+")) <= set(network.LAYERS):
            raise ValueError(f"must be one of {', '.join(network.LAYERS)}, or some of them joined by +")
        return layer


def to_describe(proposals: np.ndarray, target: Target | None, flip_iou_thresh: float | None) -> Record:
    """The regions of an image whose features are wanted.

    Args:
        proposals: [P, 4].
        target: of an image that is trained on; None for any other, whose true boxes would be an answer in the question.
        flip_iou_thresh: IoU with an object from which on a region is wanted mirrored too; None for no region.

    Returns:
        {boxes [N, 4], is_gt [N], flipped [N]}: first the true boxes that are not difficult, then the proposals, then
        the mirrored ones in the same order. A mirrored region has the box in the image as it is.
    """
    gt_boxes = np.zeros((0, 4), np.float32) if target is None else plain(target)["boxes"]
    boxes = np.concatenate([gt_boxes, proposals])
    is_gt = np.arange(len(boxes)) < len(gt_boxes)
    again = np.zeros(0, int)
    if flip_iou_thresh is not None and len(gt_boxes):
        again = np.flatnonzero(best_match(boxes, gt_boxes)[0] >= flip_iou_thresh)
    return {
        "boxes": np.concatenate([boxes, boxes[again]]),
        "is_gt": np.concatenate([is_gt, is_gt[again]]),
        "flipped": np.arange(len(boxes) + len(again)) >= len(boxes),
    }


def check_space(folder: Path, num_regions: int, width: int) -> None:
    """Refuse, before hours of work, features that the disk would not hold."""
    folder.mkdir(parents=True, exist_ok=True)
    needed, free = num_regions * width * BYTES, shutil.disk_usage(folder).free
    if needed > free:
        raise InputError(
            f"{folder} needs {needed / 1e9:.1f} GB for {num_regions} regions of {width} numbers and has "
            f"{free / 1e9:.1f} GB free: make room, or in params.yaml set features.layer to fc7 or lower "
            "selective_search.max_proposals"
        )


def extract(
    model: nn.Module,
    samples: Samples,
    regions: Mapping[str, Record],
    path: Path,
    *,
    layer: str,
    settings: Warp,
    batch_size: int,
    device: torch.device,
    jobs: int = 1,
) -> None:
    """Write the features of all regions, in their order, as float16 [R, D].

    On a CPU, `jobs` processes take `CHUNK` images at a time on one thread each: nothing then waits for the slowest
    thread of an operator, and the features do not depend on the number of processes. On another device there is one
    process. Crops of neighbouring images fill a batch together.
    """
    total, width = sum(len(record["boxes"]) for record in regions.values()), sum(network.widths(model, layer))
    check_space(path.parent, total, width)
    model = model.to(device, memory_format=torch.channels_last).eval()  # type: ignore[call-overload]
    at, ids = rows(regions), list(regions)
    with atomic(path) as temporary:
        np.lib.format.open_memmap(temporary, "w+", np.float16, (total, width)).flush()
        describe = partial(_describe, model, samples, temporary, layer, settings, batch_size, device)
        chunks = [
            (at[part[0]].start, {image_id: regions[image_id] for image_id in part})
            for part in (ids[first : first + CHUNK] for first in range(0, len(ids), CHUNK))
        ]
        parallel_map(describe, chunks, jobs if device.type == "cpu" else 1, f"features, {CHUNK} images at a time")


def _describe(
    model: nn.Module,
    samples: Samples,
    path: Path,
    layer: str,
    settings: Warp,
    batch_size: int,
    device: torch.device,
    chunk: tuple[int, Mapping[str, Record]],
) -> None:
    """Fill in the rows of a chunk: the first of them, and the regions by image."""
    row, regions = chunk
    features = np.load(path, mmap_mode="r+")
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        with torch.inference_mode():
            for crops in _batches(samples, regions, settings, batch_size, device):
                found = network.describe(model, crops, layer).half().cpu().numpy()
                features[row : row + len(found)] = found
                row += len(found)
    finally:
        torch.set_num_threads(threads)


def _batches(
    samples: Samples, regions: Mapping[str, Record], settings: Warp, batch_size: int, device: torch.device
) -> Iterator[torch.Tensor]:
    waiting: list[torch.Tensor] = []
    count = 0
    for image_id, record in regions.items():
        image = normalize(torch.from_numpy(samples.image(image_id)).permute(2, 0, 1).to(device))
        boxes, flipped = (torch.from_numpy(record[name]).to(device) for name in ("boxes", "flipped"))
        for some, mirrored in zip(boxes.split(batch_size), flipped.split(batch_size), strict=True):
            waiting.append(warp(image, some, size=settings.size, context=settings.context, flipped=mirrored))
            count += len(some)
            while count >= batch_size:
                full = torch.cat(waiting)
                yield full[:batch_size].contiguous(memory_format=torch.channels_last)
                waiting, count = [full[batch_size:]], count - batch_size
    if count:
        yield torch.cat(waiting).contiguous(memory_format=torch.channels_last)


def rows(regions: Mapping[str, Record]) -> dict[str, slice]:
    """Where each image's regions lie in the array of features."""
    ends = np.cumsum([len(record["boxes"]) for record in regions.values()])
    return {
        image_id: slice(int(end) - len(record["boxes"]), int(end))
        for (image_id, record), end in zip(regions.items(), ends, strict=True)
    }


def read_first(features: Path, regions: Path, image_ids: Sequence[str]) -> tuple[np.ndarray, dict[str, Record]]:
    """The features [R, D] (a memory map) and regions of the images that were written first: those for training."""
    table = read_records(regions)
    if list(table)[: len(image_ids)] != list(image_ids):
        raise InputError(f"{regions} does not begin with the training images: run `dvc repro extract_features`")
    first = {image_id: table[image_id] for image_id in image_ids}
    return np.load(features, mmap_mode="r")[: sum(len(record["boxes"]) for record in first.values())], first


def unit_scale(features: np.ndarray, widths: Sequence[int]) -> np.ndarray:
    """Factors [D] that bring the mean norm of the features to about 1, with an equal share for each layer.

    Measured on `SCALE_ROWS` rows, evenly spread; norms vary so much that a thousand would leave an error of 2 %.
    Without the shares, the layer with the larger numbers would drown the other.

    Args:
        features: [R, D], R may be 0.
        widths: numbers of each layer, of sum D.
    """
    some = features[np.linspace(0, len(features) - 1, min(len(features), SCALE_ROWS)).astype(int)].astype(np.float32)
    parts = np.split(some, np.cumsum(widths)[:-1], axis=1)
    norms = [max(float(np.linalg.norm(part, axis=1).mean()), 1e-6) if len(part) else 1.0 for part in parts]
    return np.repeat(1 / (np.array(norms) * len(widths) ** 0.5), widths).astype(np.float32)
