"""Hierarchical grouping: the two most similar neighbours merge until one region is left (Uijlings et al. 2013, Alg. 1).

A merged region gets a new number: R regions become 2R - 1. A heap holds the pairs of neighbours, the most similar pair
first. A pair is skipped if one of its regions has merged since.

R: regions at the start; N: pairs of neighbours.
"""

import heapq
from typing import NamedTuple

import numpy as np

from src.selective_search.compiled import compiled
from src.selective_search.regions import Regions


class Measures(NamedTuple):
    """The similarity measures whose mean a grouping uses (Sec. 3.2.2)."""

    colour: bool
    texture: bool
    size: bool
    fill: bool


def group(regions: Regions, measures: Measures) -> np.ndarray:
    """Group regions until one covers the image.

    Of equally similar pairs, the pair with the lower numbers merges first, so the result depends only on the regions.

    Returns:
        int32 [2R - 1, 4], the boxes of all regions: the regions at the start, then the merged regions in their order.
    """
    boxes, _, _, _ = merged(regions, measures)
    return boxes


def merged(regions: Regions, measures: Measures) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """Group regions, and return boxes, sizes, colour and texture histograms of all 2R - 1 regions."""
    boxes, sizes, colours, textures = (_extended(part) for part in (regions.boxes, regions.sizes, *regions[3:]))
    count = _group(boxes, sizes, colours, textures, regions.neighbours, measures)
    return boxes[:count], sizes[:count], colours[:count], textures[:count]


def _extended(rows: np.ndarray) -> np.ndarray:
    """Copy the rows, and append a row of zeros for each possible merge."""
    return np.concatenate([rows, np.zeros((len(rows) - 1, *rows.shape[1:]), rows.dtype)])


@compiled
def _group(
    boxes: np.ndarray,
    sizes: np.ndarray,
    colours: np.ndarray,
    textures: np.ndarray,
    pairs: np.ndarray,
    measures: Measures,
) -> int:
    """Fill the rows of the merges and return how many rows are filled: 2R - 1 if all regions are connected."""
    total = len(sizes)
    count = total // 2 + 1  # R
    pixels = 0
    for region in range(count):
        pixels += sizes[region]
    parent = np.arange(total)  # the region that a region has merged into, or itself
    met = np.full(total, -1, np.int64)  # for each region, the latest merged region that has it as a neighbour
    near, start, stop = _adjacency(pairs, total)
    heap: list[tuple[float, int, int]] = [(0.0, 0, 0) for _ in range(0)]  # empty; Numba infers the types from it
    for a, b in pairs:
        heap.append((-_similarity(a, b, pixels, boxes, sizes, colours, textures, measures), a, b))
    heapq.heapify(heap)
    while len(heap) > 0:
        _, a, b = heapq.heappop(heap)
        if parent[a] != a or parent[b] != b:
            continue
        parent[a] = parent[b] = count
        _merge(a, b, count, boxes, sizes, colours, textures)
        start[count] = len(near)
        for part in (a, b):
            for index in range(start[part], stop[part]):
                other = _current(parent, near[index])
                if other != count and met[other] != count:
                    met[other] = count
                    near.append(other)
                    value = _similarity(other, count, pixels, boxes, sizes, colours, textures, measures)
                    heapq.heappush(heap, (-value, other, count))
        stop[count] = len(near)
        count += 1
    return count


@compiled
def _adjacency(pairs: np.ndarray, total: int) -> tuple[list[int], np.ndarray, np.ndarray]:
    """Return a list of neighbours, start and stop: list[start[r] : stop[r]] are the neighbours of region r."""
    stop = np.zeros(total, np.int64)
    for a, b in pairs:
        stop[a] += 1
        stop[b] += 1
    for region in range(1, total):
        stop[region] += stop[region - 1]
    start = stop.copy()
    near = [0 for _ in range(2 * len(pairs))]
    for a, b in pairs:
        start[a] -= 1
        near[start[a]] = b
        start[b] -= 1
        near[start[b]] = a
    return near, start, stop


@compiled
def _current(parent: np.ndarray, region: int) -> int:
    """Return the region that now contains a region, and shorten the path to it."""
    while parent[region] != region:
        parent[region] = parent[parent[region]]
        region = parent[region]
    return region


@compiled
def _merge(
    a: int, b: int, new: int, boxes: np.ndarray, sizes: np.ndarray, colours: np.ndarray, textures: np.ndarray
) -> None:
    """Fill the row of the new region that a and b form (Eq. 3)."""
    for low, high in ((0, 2), (1, 3)):
        boxes[new, low] = min(boxes[a, low], boxes[b, low])
        boxes[new, high] = max(boxes[a, high], boxes[b, high])
    sizes[new] = sizes[a] + sizes[b]
    for histograms in (colours, textures):
        for i in range(histograms.shape[1]):
            histograms[new, i] = histograms[a, i] + histograms[b, i]


@compiled
def _similarity(
    a: int,
    b: int,
    pixels: int,
    boxes: np.ndarray,
    sizes: np.ndarray,
    colours: np.ndarray,
    textures: np.ndarray,
    measures: Measures,
) -> float:
    """Return the mean of the chosen measures of two regions (Eq. 2, 4, 5 and 6), each from 0 to 1."""
    both = sizes[a] + sizes[b]
    total = 0.0
    if measures.colour:
        total += _intersection(colours[a], colours[b], sizes[a], sizes[b])
    if measures.texture:
        total += _intersection(textures[a], textures[b], sizes[a], sizes[b])
    if measures.size:
        total += 1 - both / pixels
    if measures.fill:
        width = max(boxes[a, 2], boxes[b, 2]) - min(boxes[a, 0], boxes[b, 0])
        height = max(boxes[a, 3], boxes[b, 3]) - min(boxes[a, 1], boxes[b, 1])
        total += 1 - (np.int64(width) * height - both) / pixels
    return total / (int(measures.colour) + int(measures.texture) + int(measures.size) + int(measures.fill))


@compiled
def _intersection(a: np.ndarray, b: np.ndarray, size_a: int, size_b: int) -> float:
    """Return the sum of min(a / sum(a), b / sum(b)) over the bins of all channels (Eq. 2).

    The sum is one of integers, min(a * size_b, b * size_a), so it is exact in any order.
    """
    total, count = np.int64(0), np.int64(0)
    for i in range(len(a)):
        count += np.int64(a[i])
        total += min(np.int64(a[i]) * size_b, np.int64(b[i]) * size_a)
    return total / (np.float64(count) * size_b)
