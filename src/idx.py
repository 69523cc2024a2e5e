"""The idx format of the MNIST database (LeCun, Cortes and Burges): arrays of bytes behind a short header.

Magic number 00 00 08 D, D sizes of four bytes each, the most significant first, then the bytes; gzipped or not.
"""

import gzip
import math
import re
import struct
import zlib
from typing import NamedTuple

import numpy as np

from src.archives import GZIP_MAGIC, Archive
from src.errors import InputError

UNSIGNED_BYTE = 8  # the only type of value that sets of images use
DIMENSIONS = {"images": 3, "labels": 1}
# train-images-idx3-ubyte.gz, t10k-labels.idx1-ubyte, emnist-letters-test-images-idx3-ubyte, ...
NAME = re.compile(r"(?:.*[/-])?(train|t10k|test)-(images|labels)[-.]idx[13]-ubyte(?:\.gz)?")


class Examples(NamedTuple):
    """Images and labels of one part of a set."""

    images: np.ndarray  # uint8 [N, H, W]
    labels: np.ndarray  # uint8 [N]


def read_set(archive: Archive) -> dict[str, Examples]:
    """The parts `train` and `test` of the set whose four files lie in an archive or folder.

    Raises:
        InputError: a file is missing, there twice or damaged, or images and labels are not equally many.
    """
    found: dict[tuple[str, str], str] = {}
    for name in archive.names():
        if match := NAME.fullmatch(name):
            role = ("train" if match[1] == "train" else "test", match[2])
            if role in found:
                raise InputError(f"{archive.path}: {found[role]} and {name} are both {role[0]} {role[1]}: keep one")
            found[role] = name
    return {part: _read_part(archive, part, found) for part in ("train", "test")}


def _read_part(archive: Archive, part: str, found: dict[tuple[str, str], str]) -> Examples:
    arrays = {}
    for kind, dimensions in DIMENSIONS.items():
        if (part, kind) not in found:
            stem = "train" if part == "train" else "t10k"
            raise InputError(
                f"{archive.path} has no {stem}-{kind}-idx{dimensions}-ubyte, gzipped or not: add the file; such a set "
                "has four, images and labels of train and of t10k"
            )
        name = found[part, kind]
        arrays[kind] = parse(archive.read(name), dimensions, f"{archive.path}: {name}")
    if len(arrays["images"]) != len(arrays["labels"]):
        raise InputError(
            f"{archive.path}: {found[part, 'images']} has {len(arrays['images'])} images and {found[part, 'labels']} "
            f"{len(arrays['labels'])} labels: take both from the same set"
        )
    return Examples(**arrays)


def parse(content: bytes, dimensions: int, name: str) -> np.ndarray:
    """The array of a file, uint8 with that many dimensions; `name` is for the error messages.

    Raises:
        InputError: it is not such a file, is truncated, or longer than its header says.
    """
    if content.startswith(GZIP_MAGIC):
        try:
            content = gzip.decompress(content)
        except (EOFError, gzip.BadGzipFile, zlib.error) as error:
            raise InputError(f"{name} is truncated or damaged ({error}): fetch it anew") from None
    magic, header = bytes([0, 0, UNSIGNED_BYTE, dimensions]), 4 + 4 * dimensions
    if content[:4] != magic:
        raise InputError(
            f"{name} begins with {content[:4].hex() or 'nothing'} instead of {magic.hex()}, so it is no idx file of "
            f"bytes in {dimensions} dimensions: fetch it anew, or give the file that belongs there"
        )
    sizes = struct.unpack(f">{dimensions}I", content[4:header]) if len(content) >= header else (0,)
    if len(content) != header + math.prod(sizes) or not all(sizes):
        raise InputError(
            f"{name} has {len(content)} bytes, which do not fit the sizes {' x '.join(map(str, sizes))} in its header: "
            "it is truncated or damaged, fetch it anew"
        )
    return np.frombuffer(content, np.uint8, offset=header).reshape(sizes)


def serialise(array: np.ndarray) -> bytes:
    """The file of an array of bytes: `parse` gives the array back."""
    header = bytes([0, 0, UNSIGNED_BYTE, array.ndim]) + struct.pack(f">{array.ndim}I", *array.shape)
    return header + array.astype(np.uint8).tobytes()
