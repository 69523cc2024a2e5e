"""Describe every region of every image with a network, once.

The array of features is written as a memory map: memory stays bounded for any number of images.
"""

import shutil
from collections.abc import Iterator, Mapping
from functools import partial
from pathlib import Path

import numpy as np
import torch
from torch import nn

from src.errors import InputError
from src.files.boxed_images import BoxedImages
from src.files.records import Record
from src.files.storage import atomic
from src.parallel import parallel_map
from src.rcnn import network
from src.rcnn.features import rows
from src.rcnn.warp import Warp, normalize, warp

CHUNK = 8  # images that one process takes at a time
BYTES = 2  # of a half-precision number


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
    data: BoxedImages,
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
        describe = partial(_describe, model, data, temporary, layer, settings, batch_size, device)
        chunks = [
            (at[part[0]].start, {image_id: regions[image_id] for image_id in part})
            for part in (ids[first : first + CHUNK] for first in range(0, len(ids), CHUNK))
        ]
        parallel_map(describe, chunks, jobs if device.type == "cpu" else 1, f"features, {CHUNK} images at a time")


def _describe(
    model: nn.Module,
    data: BoxedImages,
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
            for crops in _batches(data, regions, settings, batch_size, device):
                found = network.describe(model, crops, layer).half().cpu().numpy()
                features[row : row + len(found)] = found
                row += len(found)
    finally:
        torch.set_num_threads(threads)


def _batches(
    data: BoxedImages, regions: Mapping[str, Record], settings: Warp, batch_size: int, device: torch.device
) -> Iterator[torch.Tensor]:
    waiting: list[torch.Tensor] = []
    count = 0
    for image_id, record in regions.items():
        image = normalize(torch.from_numpy(data.image(image_id)).permute(2, 0, 1).to(device))
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
