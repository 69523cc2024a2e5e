"""MNIST (LeCun et al. 1998, Proc. IEEE 86), or any set of grey images in its format: Fashion-MNIST, KMNIST, EMNIST, ...

The format is idx: the magic number 00 00 08 D, D sizes of four bytes each with the most significant first, then the
bytes of the array; a file may be gzipped. The set's test images (`t10k`) are the test split; validation images are held
out from its training images. N images of H x W pixels.
"""

import gzip
import io
import math
import re
import struct
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import ClassVar, NamedTuple

import cv2
import numpy as np

from src.errors import InputError
from src.files.download import download
from src.files.prepared import DataSet
from src.files.storage import atomic
from src.ingest import limits
from src.ingest.archives import GZIP_MAGIC, Archive, open_archive
from src.ingest.source import Source, remedy
from src.ingest.splitting import ValSplit, by_fraction, cut, limited
from src.params import Count

TASK = "labels"
OFFICIAL = {  # file -> checksum, as published, and bytes
    "train-images-idx3-ubyte.gz": ("md5:f68b3c2dcbeaaa9fbdd348bbdeb94873", 9_912_422),
    "train-labels-idx1-ubyte.gz": ("md5:d53e105ee54ea40749a09fcbcd1e9432", 28_881),
    "t10k-images-idx3-ubyte.gz": ("md5:9fb629c4189551a2d022fa330f9573f3", 1_648_877),
    "t10k-labels-idx1-ubyte.gz": ("md5:ec29112dd5afa0611ce80d1b7f02629c", 4_542),
}
MIRRORS = (  # the author's page no longer serves the files
    "https://ossci-datasets.s3.amazonaws.com/mnist/{name}",
    "https://storage.googleapis.com/cvdf-datasets/mnist/{name}",
)
SAMPLE_TEST = 0.2  # share of test images in the sample
UNSIGNED_BYTE = 8  # the only type of value in sets of images
DIMENSIONS = {"images": 3, "labels": 1}
# train-images-idx3-ubyte.gz, t10k-labels.idx1-ubyte, emnist-letters-test-images-idx3-ubyte, ...
NAME = re.compile(r"(?:.*[/-])?(train|t10k|test)-(images|labels)[-.]idx[13]-ubyte(?:\.gz)?")


class Params(Source):
    """The origin of the images, the rule that holds out validation images, and the number of training images."""

    LAYOUT: ClassVar[str] = "with the four idx files"

    split: ValSplit
    limit: Count | None


class Examples(NamedTuple):
    """The images and labels of one part of a set."""

    images: np.ndarray  # uint8 [N, H, W]
    labels: np.ndarray  # uint8 [N]


def fetch(section: Params, out: Path, *, seed: int, jobs: int) -> list[Path]:
    """Write the four files of the sample, or download the official ones."""
    if section.source == "sample":
        return [_written(out / name, content) for name, content in sample(seed).items()]
    for name, (checksum, size) in OFFICIAL.items():
        urls = [mirror.format(name=name) for mirror in MIRRORS]
        download(urls, out / name, checksum=checksum, size=size, remedy=remedy("mnist"))
    return [out / name for name in OFFICIAL]


def sample(seed: int) -> dict[str, bytes]:
    """Return the digits of scikit-learn as idx files, by name.

    They are 1,797 real digits of 8 x 8 pixels, by 13 people (UCI optdigits). They have no test images, so a random
    share of each class, `SAMPLE_TEST`, is held out for testing; the same people wrote both parts.
    """
    from sklearn.datasets import load_digits  # imported here: it takes a second, and real data do not need it

    digits = load_digits()
    images = np.round(digits.images * (255 / 16)).astype(np.uint8)
    labels = {f"{number:04d}": int(label) for number, label in enumerate(digits.target)}
    test = np.zeros(len(labels), bool)
    test[[int(number) for number in by_fraction(labels, {"test": SAMPLE_TEST}, seed)["test"]]] = True
    files = {}
    for part, chosen in (("train", ~test), ("t10k", test)):
        files[f"{part}-images-idx3-ubyte"] = serialise(images[chosen])
        files[f"{part}-labels-idx1-ubyte"] = serialise(digits.target[chosen])
    return files


def _written(path: Path, content: bytes) -> Path:
    with atomic(path) as temporary:
        temporary.write_bytes(content)
    return path


def prepare(raw: Path, section: Params, jobs: int) -> DataSet:
    """Convert the images to PNG, which is lossless, under ids such as `train/00001`.

    `jobs` is not used: one process writes 60,000 images in seconds.
    """
    archive = _archive(raw, section)
    parts = read_set(archive)
    numbers = sorted({int(label) for label in parts["train"].labels})
    place = {number: label for label, number in enumerate(numbers)}
    for label in parts["test"].labels:
        if label not in place:
            raise InputError(
                f"{archive.path}: label {label} is in the t10k files and not in the train files: use four files of one "
                "set"
            )
    labels = {
        part: {f"{part}/{number:05d}": place[int(label)] for number, label in enumerate(examples.labels, 1)}
        for part, examples in parts.items()
    }
    splits = cut(labels["train"], section.split, "data.mnist.split")
    seed = section.split.seed
    splits["train"] = limited(splits["train"], labels["train"], section.limit, seed, "data.mnist.limit")
    splits["test"] = list(labels["test"])
    ids = sorted(image_id for split in splits.values() for image_id in split)
    every = labels["train"] | labels["test"]
    entries = {image_id: {"file": f"images/{image_id}.png", "label": every[image_id]} for image_id in ids}
    return DataSet([str(number) for number in numbers], splits, entries, _encoded(ids, parts))


def _archive(raw: Path, section: Params) -> Archive:
    """Open the archive of local data, or the folder itself, which holds the official files or those of the sample."""
    stored = sorted(raw.glob("local.*"))
    path = stored[0] if stored else raw
    return open_archive(path, section.shown(path))


def _encoded(ids: list[str], parts: dict[str, Examples]) -> Iterator[tuple[str, bytes]]:
    for image_id in ids:
        part, number = image_id.split("/")
        written, content = cv2.imencode(".png", parts[part].images[int(number) - 1])
        if not written:
            raise RuntimeError("OpenCV could not encode a PNG: install the build of OpenCV in requirements.txt")
        yield f"images/{image_id}.png", content.tobytes()


def read_set(archive: Archive) -> dict[str, Examples]:
    """Read the parts `train` and `test` of the set whose four files are in an archive or folder.

    Two files of the same content are one: torchvision leaves each file raw and gzipped. EMNIST (Cohen et al. 2017,
    arXiv:1702.05373) stores an image column by column, so the images of files named after it are transposed.

    Raises:
        InputError: a file is missing, occurs twice with other content or is damaged, or the numbers of images and
            labels differ.
    """
    names: dict[tuple[str, str], str] = {}
    for name in archive.names():
        if match := NAME.fullmatch(name):
            role = ("train" if match[1] == "train" else "test", match[2])
            if role in names:
                if len({gunzipped(archive.read(file), f"{archive.path}: {file}") for file in (names[role], name)}) == 1:
                    continue
                raise InputError(f"{archive.path}: {names[role]} and {name} are both {role[0]} {role[1]}: keep one")
            names[role] = name
    return {part: _read_part(archive, part, names) for part in ("train", "test")}


def _read_part(archive: Archive, part: str, names: dict[tuple[str, str], str]) -> Examples:
    arrays = {}
    for kind, dimensions in DIMENSIONS.items():
        if (part, kind) not in names:
            stem = "train" if part == "train" else "t10k"
            raise InputError(
                f"{archive.path} has no {stem}-{kind}-idx{dimensions}-ubyte, gzipped or not: add the file (a set has "
                "four: the images and labels of train and of t10k)"
            )
        name = names[part, kind]
        arrays[kind] = parse(archive.read(name), dimensions, f"{archive.path}: {name}")
        if dimensions == 3 and "emnist" in name.lower():
            arrays[kind] = arrays[kind].transpose(0, 2, 1)
    if len(arrays["images"]) != len(arrays["labels"]):
        raise InputError(
            f"{archive.path}: {names[part, 'images']} has {len(arrays['images'])} images and {names[part, 'labels']} "
            f"has {len(arrays['labels'])} labels: use two files of the same set"
        )
    return Examples(**arrays)


def parse(content: bytes, dimensions: int, name: str) -> np.ndarray:
    """Parse an idx file to an array, uint8 with that many dimensions.

    Args:
        content: the file, gzipped or not.
        dimensions: number of dimensions that the file must have.
        name: the file's name, for the error messages.

    Raises:
        InputError: the content is not such a file, is truncated, or is longer than its header says.
    """
    content = gunzipped(content, name)
    magic, header = bytes([0, 0, UNSIGNED_BYTE, dimensions]), 4 + 4 * dimensions
    if content[:4] != magic:
        raise InputError(
            f"{name} begins with {content[:4].hex() or 'nothing'} instead of {magic.hex()}, so it is no idx file of "
            f"bytes in {dimensions} dimensions: download it again or replace it by the right file"
        )
    sizes = struct.unpack(f">{dimensions}I", content[4:header]) if len(content) >= header else (0,)
    if len(content) != header + math.prod(sizes) or not all(sizes):
        raise InputError(
            f"{name} has {len(content)} bytes, which do not fit the sizes {' x '.join(map(str, sizes))} in its header: "
            "it is truncated or damaged, so download it again"
        )
    return np.frombuffer(content, np.uint8, offset=header).reshape(sizes)


def gunzipped(content: bytes, name: str) -> bytes:
    """Return the content of a file, gzipped or not; one that is damaged or a bomb is an `InputError` that names it."""
    if not content.startswith(GZIP_MAGIC):
        return content
    unpacked = io.BytesIO()
    try:
        with gzip.open(io.BytesIO(content)) as packed:
            limits.copy(packed, unpacked, Path(name), len(content))
    except (EOFError, gzip.BadGzipFile, zlib.error) as error:
        raise InputError(f"{name} is truncated or damaged ({error}): download it again") from None
    return unpacked.getvalue()


def serialise(array: np.ndarray) -> bytes:
    """Return the idx file of an array of bytes; `parse` gives the array back."""
    header = bytes([0, 0, UNSIGNED_BYTE, array.ndim]) + struct.pack(f">{array.ndim}I", *array.shape)
    return header + array.astype(np.uint8).tobytes()
