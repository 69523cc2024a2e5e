"""Separating planes of the classes, and the scores of regions.

R is the number of regions, C of classes, D of features of a region.
"""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

BLOCK = 8192  # rows per matrix product


class Plane(NamedTuple):
    """A separating plane: score = x @ weight + bias."""

    weight: np.ndarray  # [D]
    bias: float


def scores(features: np.ndarray, planes: Sequence[Plane], scale: np.ndarray) -> np.ndarray:
    """Compute the scores [R, C] block by block; `features` [R, D] may be a memory map of half precision."""
    weights = np.stack([plane.weight for plane in planes], axis=1).astype(np.float32) * scale[:, None]
    biases = np.array([plane.bias for plane in planes], np.float32)
    result = np.empty((len(features), len(planes)), np.float32)
    for start in range(0, len(features), BLOCK):
        block = slice(start, start + BLOCK)
        result[block] = features[block].astype(np.float32) @ weights + biases
    return result
