"""Extraction of features: a network describes every region of every image, once.

It writes the features, or numbers that are computed from them, such as scores (src/rcnn/score.py). Each batch is
written to its place in the file at once, so memory stays bounded for any number of images.
"""

import os
from collections.abc import Callable, Iterable, Iterator, Mapping
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
from lightning_fabric.utilities import move_data_to_device
from torch import Tensor, nn
from torch.utils.data import DataLoader, Dataset
from tqdm import tqdm

from src.files import room
from src.files.boxed_images import BoxedImages
from src.files.records import Record
from src.files.shards import Shards
from src.files.storage import atomic
from src.files.unfinished import sync, told
from src.parallel import Jobs, parallel_map
from src.rcnn import maps, network
from src.rcnn.crops import Crops
from src.rcnn.features import rows
from src.rcnn.maps import Maps, Scene
from src.rcnn.warp import Warp, normalize

CHUNK = 8  # images per process at a time
LARGE_CHUNK = 512  # images at a time on another device, where only the last batch of a chunk is not full
BYTES = 2  # per half-precision number
FEWER = "set features.layer to fc7, or lower selective_search.max_proposals"


class Result(NamedTuple):
    """Numbers to write for each region in place of its features."""

    of: Callable[[np.ndarray], np.ndarray]  # features [N, D], half precision -> [N, width]
    width: int
    dtype: type = np.float32


def check_space(folder: Path, num_regions: int, width: int, num_bytes: int = BYTES, remedy: str = FEWER) -> None:
    """Raise an `InputError`, before hours of work, if the disk has too little space for the array."""
    room.disk(folder, num_regions * width * num_bytes, f"{num_regions} regions of {width} numbers", remedy)


def extract(
    model: nn.Module,
    data: BoxedImages,
    regions: Mapping[str, Record],
    path: Path,
    *,
    result: Result | None = None,
    layer: str,
    precision: str = "32-true",
    settings: Warp,
    map_side: int | None = None,
    batch_size: int,
    device: torch.device,
    jobs: Jobs = 1,
    workers: int = 0,
    parts: Shards | None = None,
    remedy: str = FEWER,
) -> None:
    """Write the features of all regions as float16 [R, D], or the numbers of `result`, in the order of the regions.

    On a CPU, `jobs` processes take `CHUNK` images at a time and use one thread each. So no process waits for the
    slowest thread of an operator, and the features do not depend on the number of processes. Another device has one
    process, in which it gets full batches up to the last of `LARGE_CHUNK` images, while `workers` processes read images
    and warp regions ahead of it. Without workers the process warps a batch while the device describes the one before.

    Args:
        model: the network; it is moved to the device.
        data: the images.
        regions: records of `boxes` and `flipped` by image; there may be none.
        path: the file to write; it appears when it is complete.
        result: numbers to write in place of the features; None writes the features.
        layer, precision: as for `src.rcnn.network.describe`.
        settings: the section `warp`.
        map_side: pixels of the shorter side of an image whose regions share one map (src/rcnn/maps.py); None warps each
            region.
        batch_size: regions per batch; a batch may hold crops of several images. Regions on one map come by image.
        device: the network's device.
        jobs: processes on a CPU, or a pool, whose processes write to the same disk. A chunk that is described twice has
            the same bytes in the same place.
        workers: processes that prepare batches. On a CPU leave 0: there the jobs prepare their own.
        parts: keeps what is described if the run is stopped, chunk by chunk; None begins anew each time.
        remedy: what a user can do beside making room, if the disk has too little.

    Raises:
        InputError: the disk has too little space.
    """
    total = sum(len(record["boxes"]) for record in regions.values())
    of, width, dtype = result or Result(_unchanged, sum(network.widths(model, layer)), np.float16)
    model = model.to(device, memory_format=torch.channels_last).eval()  # type: ignore[call-overload]
    slices, ids = rows(regions), list(regions)
    size = CHUNK if device.type == "cpu" else LARGE_CHUNK
    with atomic(path) if parts is None else parts.growing(path) as temporary:
        if parts is None or not parts.found():
            check_space(temporary.parent, total, width, np.dtype(dtype).itemsize, remedy)
            _begin(temporary, total, width, dtype)
        place = Place(path, temporary.absolute(), _start_of_rows(temporary), width, dtype)
        chunks = [
            (slices[part[0]].start, {image_id: regions[image_id] for image_id in part})
            for part in (ids[first : first + size] for first in range(0, len(ids), size))
        ]
        if map_side is None:
            batches: Callable[[Mapping[str, Record]], Dataset[Any]] = partial(
                Crops, data, settings=settings, batch_size=batch_size
            )
            features = partial(_of_crops, model, layer, precision, device)
        else:
            batches = partial(Maps, data, side=map_side)
            features = partial(_of_map, model, settings, layer, precision, device)
        describe = partial(_describe, of, features, batches, place, device, workers)
        processes, label = jobs if device.type == "cpu" else 1, f"features, {size} images at a time"
        if parts is None:
            parallel_map(describe, chunks, processes, label)
        else:
            parallel_map(parts.keeping(describe), list(enumerate(chunks)), processes, label)


class Place(NamedTuple):
    """An array in a file, whose rows several processes write; not as a memory map, whose pages would be shared.

    Machines that write neighbouring rows of a network disk through a map overwrite each other's part of a page.
    """

    name: Path  # of the array, to be told
    path: Path  # of the file that grows
    start: int  # bytes before the first row
    width: int
    dtype: type

    def write(self, row: int, rows: np.ndarray) -> None:
        """Write rows [N, width], of which the first is number `row`; a full disk is an `InputError`."""
        content = np.ascontiguousarray(rows, self.dtype).tobytes()
        with told(self.name, self.path), self.path.open("r+b") as file:
            file.seek(self.start + row * self.width * np.dtype(self.dtype).itemsize)
            file.write(content)


def _begin(path: Path, rows: int, width: int, dtype: type) -> None:
    """Write the header of an array and zeros for its numbers; a full disk is told now, before hours of work."""
    np.lib.format.open_memmap(path, "w+", dtype, (rows, width)).flush()
    if hasattr(os, "posix_fallocate"):
        with path.open("r+b") as file:
            os.posix_fallocate(file.fileno(), 0, path.stat().st_size)


def _start_of_rows(path: Path) -> int:
    return int(np.load(path, mmap_mode="r").offset)


def _unchanged(features: np.ndarray) -> np.ndarray:
    return features


def _describe(
    of: Callable[[np.ndarray], np.ndarray],
    features: Callable[[Any], Tensor],
    batches: Callable[[Mapping[str, Record]], Dataset[Any]],
    place: Place,
    device: torch.device,
    workers: int,
    chunk: tuple[int, Mapping[str, Record]],
) -> Record:
    """Fill in the rows of a chunk, which is (first row, regions by image), and return nothing to keep beside them."""
    row, regions = chunk
    loader = DataLoader(batches(regions), batch_size=None, num_workers=workers)
    bar = tqdm(loader, desc="batches", mininterval=1.0, disable=device.type == "cpu")  # there the chunks have a bar
    with torch.inference_mode():
        for described in _ahead(features, bar):
            place.write(row, of(described))
            row += len(described)
    sync(place.path)
    return {}


def _ahead(features: Callable[[Any], Tensor], batches: Iterable[Any]) -> Iterator[np.ndarray]:
    """Yield the features of each batch after the next batch was prepared, because a GPU computes meanwhile."""
    waiting: Tensor | None = None
    for batch in batches:
        if waiting is not None:
            yield waiting.cpu().numpy()
        waiting = features(batch).half()
    if waiting is not None:
        yield waiting.cpu().numpy()


def _of_crops(model: nn.Module, layer: str, precision: str, device: torch.device, crops: Tensor) -> Tensor:
    return network.describe(model, normalize(crops.to(device)), layer, precision)


def _of_map(model: nn.Module, settings: Warp, layer: str, precision: str, device: torch.device, image: Scene) -> Tensor:
    return maps.describe(model, move_data_to_device(image, device), settings, layer, precision)
