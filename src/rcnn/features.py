"""Features of every region of every image, computed once: what the SVMs and the box regression learn from.

Two files: the regions (records of `boxes` and `is_gt` for each image) and one array of half precision [R, D] whose rows
follow them in order. The array is written and read as a memory map, so memory stays bounded for any number of images.
"""

import shutil
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Literal

import numpy as np
import torch
from torch import nn
from tqdm import tqdm

from src.errors import InputError
from src.params import Positive, Section
from src.rcnn import network
from src.rcnn.warp import Warp, normalize, warp
from src.records import Record, read_records
from src.samples import Samples
from src.storage import atomic

BYTES = 2  # of a half-precision number


class Features(Section):
    """Which regions are described, and by which layer."""

    proposals: str
    layer: Literal["pool5", "fc6", "fc7"]
    norm: Positive


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
) -> None:
    """Write the features of all regions, in their order, as float16 [R, D].

    Crops of neighbouring images fill a batch together, so that the network always runs on whole batches.
    """
    total, width = sum(len(record["boxes"]) for record in regions.values()), network.width(model, layer)
    check_space(path.parent, total, width)
    model = model.to(device, memory_format=torch.channels_last).eval()  # type: ignore[call-overload]
    row = 0
    with atomic(path) as temporary, torch.inference_mode(), tqdm(total=total, desc="regions", mininterval=2.0) as bar:
        features = np.lib.format.open_memmap(temporary, "w+", np.float16, (total, width))
        for crops in _batches(samples, regions, settings, batch_size, device):
            found = network.describe(model, crops, layer).half().cpu().numpy()
            features[row : row + len(found)] = found
            row += len(found)
            bar.update(len(found))
        features.flush()


def _batches(
    samples: Samples, regions: Mapping[str, Record], settings: Warp, batch_size: int, device: torch.device
) -> Iterator[torch.Tensor]:
    waiting: list[torch.Tensor] = []
    count = 0
    for image_id, record in regions.items():
        image = normalize(torch.from_numpy(samples.image(image_id)).permute(2, 0, 1).to(device))
        for boxes in torch.from_numpy(record["boxes"]).to(device).split(batch_size):
            waiting.append(warp(image, boxes, size=settings.size, context=settings.context))
            count += len(boxes)
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


def norm_scale(features: np.ndarray, norm: float, seed: int) -> float:
    """The factor that brings the features' mean norm to `norm`, measured on a thousand rows (rcnn code)."""
    some = np.sort(np.random.default_rng(seed).permutation(len(features))[:1000])
    return norm / max(float(np.linalg.norm(features[some].astype(np.float32), axis=1).mean()), 1e-6)
