"""Separating planes of the classes, and the scores that they give to regions. R regions, C classes, D numbers each."""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

BLOCK = 8192  # rows that are scored at once


class Plane(NamedTuple):
    """A separating plane: score = x @ weight + bias."""

    weight: np.ndarray  # [D]
    bias: float


def scores(features: np.ndarray, planes: Sequence[Plane], scale: np.ndarray) -> np.ndarray:
    """Scores [R, C] of all rows, block by block; `features` [R, D] may be a memory map of half precision."""
    weights = np.stack([plane.weight for plane in planes], axis=1).astype(np.float32) * scale[:, None]
    biases = np.array([plane.bias for plane in planes], np.float32)
    found = np.empty((len(features), len(planes)), np.float32)
    for start in range(0, len(features), BLOCK):
        block = slice(start, start + BLOCK)
        found[block] = features[block].astype(np.float32) @ weights + biases
    return found
