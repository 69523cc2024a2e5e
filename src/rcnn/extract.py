"""Extraction of features: a network describes every region of every image, once.

Written are the features, or numbers that are computed from them, such as scores (src/rcnn/score.py). The array is
written as a memory map, so memory stays bounded for any number of images.
"""

import shutil
from collections.abc import Callable, Iterator, Mapping
from functools import partial
from pathlib import Path
from typing import NamedTuple

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

CHUNK = 8  # images per process at a time
BYTES = 2  # per half-precision number


class Result(NamedTuple):
    """Numbers to write for each region in place of its features."""

    of: Callable[[np.ndarray], np.ndarray]  # features [N, D], half precision -> [N, width]
    width: int
    dtype: type = np.float32


def check_space(folder: Path, num_regions: int, width: int, num_bytes: int = BYTES) -> None:
    """Raise an `InputError`, before hours of work, if the disk has too little space for the array."""
    folder.mkdir(parents=True, exist_ok=True)
    needed, free = num_regions * width * num_bytes, shutil.disk_usage(folder).free
    if needed > free:
        raise InputError(
            f"{folder} needs {needed / 1e9:.1f} GB for {num_regions} regions of {width} numbers and has "
            f"{free / 1e9:.1f} GB free: make room, set features.layer to fc7 in params.yaml, or "
            "lower selective_search.max_proposals"
        )


def extract(
    model: nn.Module,
    data: BoxedImages,
    regions: Mapping[str, Record],
    path: Path,
    *,
    result: Result | None = None,
    layer: str,
    settings: Warp,
    batch_size: int,
    device: torch.device,
    jobs: int = 1,
) -> None:
    """Write the features of all regions as float16 [R, D], or the numbers of `result`, in the order of the regions.

    On a CPU, `jobs` processes take `CHUNK` images at a time and use one thread each. So no process waits for the
    slowest thread of an operator, and the features do not depend on the number of processes. On another device there
    is one process. A batch may hold crops of several images.
    """
    total = sum(len(record["boxes"]) for record in regions.values())
    of, width, dtype = result or Result(_unchanged, sum(network.widths(model, layer)), np.float16)
    check_space(path.parent, total, width, np.dtype(dtype).itemsize)
    model = model.to(device, memory_format=torch.channels_last).eval()  # type: ignore[call-overload]
    slices, ids = rows(regions), list(regions)
    with atomic(path) as temporary:
        np.lib.format.open_memmap(temporary, "w+", dtype, (total, width)).flush()
        describe = partial(_describe, of, model, data, temporary, layer, settings, batch_size, device)
        chunks = [
            (slices[part[0]].start, {image_id: regions[image_id] for image_id in part})
            for part in (ids[first : first + CHUNK] for first in range(0, len(ids), CHUNK))
        ]
        parallel_map(describe, chunks, jobs if device.type == "cpu" else 1, f"features, {CHUNK} images at a time")


def _unchanged(features: np.ndarray) -> np.ndarray:
    return features


def _describe(
    of: Callable[[np.ndarray], np.ndarray],
    model: nn.Module,
    data: BoxedImages,
    path: Path,
    layer: str,
    settings: Warp,
    batch_size: int,
    device: torch.device,
    chunk: tuple[int, Mapping[str, Record]],
) -> None:
    """Fill in the rows of a chunk, which is (first row, regions by image)."""
    row, regions = chunk
    array = np.load(path, mmap_mode="r+")
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        with torch.inference_mode():
            for crops in _batches(data, regions, settings, batch_size, device):
                described = network.describe(model, crops, layer).half().cpu().numpy()
                array[row : row + len(described)] = of(described)
                row += len(described)
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
        for part, mirrored in zip(boxes.split(batch_size), flipped.split(batch_size), strict=True):
            waiting.append(warp(image, part, size=settings.size, context=settings.context, flipped=mirrored))
            count += len(part)
            while count >= batch_size:
                full = torch.cat(waiting)
                yield full[:batch_size].contiguous(memory_format=torch.channels_last)
                waiting, count = [full[batch_size:]], count - batch_size
    if count:
        yield torch.cat(waiting).contiguous(memory_format=torch.channels_last)
