"""Separating planes of the classes, and the scores of regions.

R is the number of regions, C of classes, D of features of a region.
"""

import mmap
from collections.abc import Iterator, Sequence
from typing import NamedTuple

import numpy as np

BLOCK = 8192  # rows per matrix product
ONE = np.float32(1)
PART = 200  # scattered rows to read at a time: each may bring 2 MB of its neighbourhood into memory


class Plane(NamedTuple):
    """A separating plane: score = x @ weight + bias."""

    weight: np.ndarray  # [D]
    bias: float


def blocks(count: int) -> Iterator[slice]:
    """Yield the slices of `BLOCK` rows that cover `count` rows; the last may be shorter."""
    for start in range(0, count, BLOCK):
        yield slice(start, min(start + BLOCK, count))


def scores(features: np.ndarray, planes: Sequence[Plane], scale: np.ndarray) -> np.ndarray:
    """Compute the scores [R, C] block by block; `features` [R, D] may be a memory map of half precision."""
    weights = np.stack([plane.weight for plane in planes], axis=1).astype(np.float32) * scale[:, None]
    biases = np.array([plane.bias for plane in planes], np.float32)
    result = np.empty((len(features), len(planes)), np.float32)
    for block in blocks(len(features)):
        result[block] = features[block].astype(np.float32) @ weights + biases
    return result


def take(features: np.ndarray, rows: np.ndarray, factors: np.ndarray | np.float32 = ONE) -> np.ndarray:
    """Read scattered rows [N] of the features [R, D], which may be a memory map, as float32 [N, D], times factors [D].

    Conversion and product are one step, so the rows are written to memory once. N may be 0.
    """
    taken = np.empty((len(rows), features.shape[1]), np.float32)
    for start in range(0, len(rows), PART):
        part = slice(start, start + PART)
        np.multiply(features[rows[part]], factors, out=taken[part], dtype=np.float32)
        release(features)
    return taken


def release(features: np.ndarray) -> None:
    """Let go of the pages of a memory map that were read; else a pass would count the whole file as used memory.

    An array in memory stays as it is.
    """
    if isinstance(mapped := getattr(features, "_mmap", None), mmap.mmap):
        mapped.madvise(mmap.MADV_DONTNEED)
