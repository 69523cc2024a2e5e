"""The bookkeeping of many images: today's files up to a million, and shards up to ten million. No image is read.

    python -m benchmarks.million [--quick]

Each row is a process of its own. The seconds are the processor's, and the memory is the largest, with the imports.
Today's files are written and read by src/files and src/training themselves; an image has `BOXES` boxes, and its encoded
bytes are left out. The shards do not exist in src: the functions here are the whole of their bookkeeping.
docs/million.md draws the conclusions.
"""

import argparse
import json
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from src.files.prepared import Prepared, write_prepared
from src.files.records import read_records, write_records
from src.files.storage import read_npz, write_npz

BOXES = 3  # objects of an image
PROPOSED = 10  # boxes of a record; 300 or 2,000 would measure the numbers and not the bookkeeping
SHARD = 10_000  # images; with photos of 100 kB a file of 1 GB
BATCH = 32
LOOKUPS = 1_000_000
TODAY = (10_000, 100_000, 1_000_000)
LATER = (1_000_000, 10_000_000)


class Shards(NamedTuple):
    """All that is known of a set of S shards without opening one, and where each image is.

    An image is found by its number, or by the hash of its id. The files of proposals and detections have the same
    shards and rows, so a join of two files needs no id.
    """

    firsts: np.ndarray  # int64 [S + 1]: number of each shard's first image; the last is the number of all
    digests: np.ndarray  # uint8 [S, 16]: MD5 of each file
    hashes: np.ndarray  # uint64 [N], sorted
    numbers: np.ndarray  # int32 [N]: number of the image that has the hash


def place(shards: Shards, numbers: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return the shard and the row in it of each image, by its number."""
    shard = np.searchsorted(shards.firsts, numbers, side="right") - 1
    return shard, numbers - shards.firsts[shard]


def order(shards: Shards, seed: int, epoch: int) -> Iterator[tuple[int, np.ndarray]]:
    """Yield (shard, rows) through an epoch: each image once, the shards in a random order and the rows of each too.

    A shard's rows depend on (seed, epoch, shard) alone, so a batch is still a function of (seed, index): a process that
    is asked for one batch permutes one shard.
    """
    for shard in np.random.default_rng([seed, epoch]).permutation(len(shards.firsts) - 1):
        rows = np.random.default_rng([seed, epoch, shard]).permutation(shards.firsts[shard + 1] - shards.firsts[shard])
        yield int(shard), rows


def find(shards: Shards, hashes: np.ndarray) -> np.ndarray:
    """Return the numbers of images by the hashes of their ids, all of which are known."""
    rows = np.searchsorted(shards.hashes, hashes)
    assert (shards.hashes[rows] == hashes).all()
    return shards.numbers[rows]


def made(count: int) -> Shards:
    """Make the bookkeeping of so many images, with random hashes in the place of those of ids."""
    rng = np.random.default_rng(0)
    firsts = np.append(np.arange(0, count, SHARD), count)
    hashes = rng.integers(0, 2**63, count, np.uint64)
    numbers = np.argsort(hashes, kind="stable").astype(np.int32)
    digests = rng.integers(0, 256, (len(firsts) - 1, 16), np.uint8)
    return Shards(firsts, digests, hashes[numbers], numbers)


def write_shards(count: int, folder: Path) -> Iterator[tuple[str, float]]:
    """Make and write the bookkeeping."""
    start = time.process_time()
    shards = made(count)
    yield "make", time.process_time() - start
    start = time.process_time()
    write_npz(_path(folder, "shards", count), shards._asdict())
    yield "write", time.process_time() - start


def use_shards(count: int, folder: Path) -> Iterator[tuple[str, float]]:
    """Read the bookkeeping, go through an epoch, and look up images by their ids."""
    start = time.process_time()
    shards = Shards(**read_npz(_path(folder, "shards", count)))
    yield "read", time.process_time() - start
    seen = np.zeros(count, np.uint8)
    start = time.process_time()
    for shard, rows in order(shards, seed=0, epoch=0):
        seen[shards.firsts[shard] + rows] += 1
    yield "an epoch", time.process_time() - start
    assert (seen == 1).all()
    wanted = np.random.default_rng(1).choice(shards.hashes, LOOKUPS)
    start = time.process_time()
    shard, row = place(shards, find(shards, wanted))
    yield "a million lookups", time.process_time() - start
    assert (shards.hashes[np.searchsorted(shards.hashes, wanted)] == wanted).all()
    assert (shards.firsts[shard] + row < count).all()


def write_boxes(count: int, folder: Path) -> Iterator[tuple[str, float]]:
    """Write records of boxes, as `propose` and `detect` do."""
    boxes = np.random.default_rng(0).random((count, PROPOSED, 4), np.float32)
    records = {_id(number): {"boxes": values} for number, values in enumerate(boxes)}
    start = time.process_time()
    write_records(_path(folder, "records", count), records)
    yield "write", time.process_time() - start


def read_boxes(count: int, folder: Path) -> Iterator[tuple[str, float]]:
    """Read them, as every later stage does."""
    start = time.process_time()
    records = read_records(_path(folder, "records", count))
    yield "read", time.process_time() - start
    assert len(records) == count


def write_index(count: int, folder: Path) -> Iterator[tuple[str, float]]:
    """Write a prepared set, as `prepare` does; of each image one byte."""
    ids = [_id(number) for number in range(count)]
    images = {image_id: _entry(image_id) for image_id in ids}
    start = time.process_time()
    contents = ((f"images/{image_id}.jpg", b".") for image_id in ids)
    write_prepared(_path(folder, "prepared", count), ["car"], {"train": ids}, images, contents)
    yield "write", time.process_time() - start


def open_index(count: int, folder: Path) -> Iterator[tuple[str, float]]:
    """Open it, as every later stage does, and each of its processes."""
    start = time.process_time()
    data = Prepared(_path(folder, "prepared", count))
    yield "open", time.process_time() - start
    assert len(data.ids("train")) == count


def draw_batches(count: int, folder: Path) -> Iterator[tuple[str, float]]:
    """Ask for the images of ten batches, as a training does."""
    from src.training.epoch_batches import EpochBatches  # here, not above: torch takes more memory than the rest

    batches = EpochBatches(folder, [_id(number) for number in range(count)], batch_size=BATCH, seed=0, shuffle=True)
    start = time.process_time()
    for index in range(10):
        batches.ids(index * 7)
    yield "a batch", (time.process_time() - start) / 10


PARTS: Mapping[str, tuple[Callable[[int, Path], Iterator[tuple[str, float]]], tuple[int, ...]]] = {
    "records": (write_boxes, TODAY),
    "records, read": (read_boxes, TODAY),
    "prepared": (write_index, TODAY),
    "prepared, open": (open_index, TODAY),
    "order of batches": (draw_batches, (*TODAY, LATER[-1])),
    "shards": (write_shards, LATER),
    "shards, read": (use_shards, LATER),
}


def _entry(image_id: str) -> dict[str, Any]:
    boxes = [[float(10 * side + number) for side in range(4)] for number in range(BOXES)]
    entry: dict[str, Any] = {"file": f"images/{image_id}.jpg", "height": 375, "width": 500}
    return {**entry, "boxes": boxes, "labels": [1] * BOXES, "difficult": [False] * BOXES}


def _id(number: int) -> str:
    return f"{number:012d}"


def _path(folder: Path, kind: str, count: int) -> Path:
    return folder / f"{kind}-{count}{'.zip' if kind == 'prepared' else '.npz'}"


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="a hundredth of the images")
    parser.add_argument("--part", nargs=3, metavar=("NAME", "IMAGES", "FOLDER"), help="one row, as JSON")
    options = parser.parse_args()
    if options.part:
        name, count, folder = options.part
        seconds = dict(PARTS[name][0](int(count), Path(folder)))
        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024  # Linux tells kB
        print(json.dumps({"seconds": seconds, "memory": peak}))
        return
    from benchmarks.all import processor

    print(f"{processor()}\n\n| bookkeeping | images | seconds | memory | file |\n|---|---|---|---|---|")
    with tempfile.TemporaryDirectory() as folder:
        for name, (_, counts) in PARTS.items():
            for count in [number // 100 for number in counts] if options.quick else counts:
                print(_row(name, count, Path(folder)), flush=True)


def _row(name: str, count: int, folder: Path) -> str:
    command = [sys.executable, "-m", "benchmarks.million", "--part", name, str(count), str(folder)]
    done = subprocess.run(command, check=True, capture_output=True, text=True)
    found = json.loads(done.stdout.splitlines()[-1])
    seconds = ", ".join(f"{what} {value:.3g}" for what, value in found["seconds"].items())
    path = _path(folder, name.partition(",")[0], count)
    size = f"{path.stat().st_size / 1e6:.1f} MB" if path.exists() else ""
    return f"| {name} | {count:,} | {seconds} | {found['memory'] / 1e9:.2f} GB | {size} |"


if __name__ == "__main__":
    main()
