"""The features of a region: size, bounding box, neighbours, and histograms of colour and texture.

Histograms are counts of pixels. If two regions merge, their counts add up exactly to the counts of the new region, so
each pixel is read only once (Uijlings et al. 2013, Sec. 3.2.2, Eq. 3, with counts instead of shares).

H, W, C: height, width and channels of a colour space; R: regions; N: pairs of neighbours.
"""

from typing import NamedTuple

import cv2
import numpy as np

from src.selective_search.compiled import compiled
from src.selective_search.texture import both_signs

COLOUR_BINS = 25  # per channel (Sec. 3.2.2)
TEXTURE_BINS = 80  # per channel, ten per direction


class Regions(NamedTuple):
    """Regions that cover an image, each pixel once."""

    sizes: np.ndarray  # int64 [R], pixels
    boxes: np.ndarray  # int32 [R, 4], x1, y1, x2, y2, half-open
    neighbours: np.ndarray  # int64 [N, 2], each pair once, the lower number first
    colours: np.ndarray  # uint32 [R, C * 25], pixels in each bin
    textures: np.ndarray  # uint32 [R, 8 * C * 10], or [R, 0] without texture


def describe(labels: np.ndarray, colour: np.ndarray, texture: np.ndarray | None) -> Regions:
    """Describe the regions of a segmentation.

    Args:
        labels: int32 [H, W], the region of each pixel; every number from 0 to the largest occurs.
        colour: uint8 [1, H, W, C], bins of the values, from `colour_bins`.
        texture: uint8 [4, H, W, C], bins of the derivatives, from `texture_bins`; None if no similarity uses them.
    """
    count = int(labels.max()) + 1
    sizes, boxes = _extents(labels, count)
    channels = colour.shape[3]
    colours = _histograms(labels, count, colour, channels * COLOUR_BINS)
    textures = np.zeros((count, 0), np.uint32)
    if texture is not None:
        textures = both_signs(_histograms(labels, count, texture, channels * TEXTURE_BINS))
    return Regions(sizes, boxes, neighbours(labels), colours, textures)


def neighbours(labels: np.ndarray) -> np.ndarray:
    """Find all pairs of regions that touch: a pixel of one is left of, above, or above left of a pixel of the other.

    Returns:
        int64 [N, 2], sorted, the lower number of each pair first.
    """
    count = int(labels.max()) + 1
    pairs = np.unique(_borders(labels, count))
    return np.stack([pairs // count, pairs % count], axis=1)


def colour_bins(space: np.ndarray) -> np.ndarray:
    """Sort the values of each channel into bins of equal width.

    Args:
        space: uint8 [H, W, C].

    Returns:
        uint8 [1, H, W, C], the index of each value's bin in a histogram of C * 25 bins.
    """
    channels = space.shape[2]
    within = np.arange(256)[:, None] * COLOUR_BINS // 256
    table = (within + np.arange(channels) * COLOUR_BINS).astype(np.uint8)
    return cv2.LUT(space, table[None]).reshape(1, *space.shape)


@compiled
def _extents(labels: np.ndarray, count: int) -> tuple[np.ndarray, np.ndarray]:
    """Return the regions' sizes [R] and bounding boxes [R, 4]."""
    height, width = labels.shape
    sizes = np.zeros(count, np.int64)
    boxes = np.zeros((count, 4), np.int32)
    for box in boxes:
        box[0], box[1] = width, height
    for i in range(height):
        for j in range(width):
            region = labels[i, j]
            sizes[region] += 1
            box = boxes[region]
            box[0], box[1] = min(box[0], j), min(box[1], i)
            box[2], box[3] = max(box[2], j + 1), max(box[3], i + 1)
    return sizes, boxes


@compiled
def _borders(labels: np.ndarray, count: int) -> np.ndarray:
    """Return a * R + b for each pair of regions a < b that touch, int64; a pair may occur many times."""
    height, width = labels.shape
    pairs = np.empty(3 * height * width, np.int64)
    length = 0
    for i in range(height):
        for j in range(width):
            region = labels[i, j]
            for up, left in ((0, 1), (1, 0), (1, 1)):
                if i < up or j < left:
                    continue
                other = labels[i - up, j - left]
                if other != region:
                    pair = min(region, other) * np.int64(count) + max(region, other)
                    if length == 0 or pairs[length - 1] != pair:
                        pairs[length] = pair
                        length += 1
    return pairs[:length]


@compiled
def _histograms(labels: np.ndarray, count: int, bins: np.ndarray, length: int) -> np.ndarray:
    """Count the pixels of each region in each bin: bins [D, H, W, C] to uint32 [R, length]."""
    directions, height, width, channels = bins.shape
    histograms = np.zeros((count, length), np.uint32)
    for i in range(height):
        for j in range(width):
            histogram = histograms[labels[i, j]]
            for d in range(directions):
                for c in range(channels):
                    histogram[bins[d, i, j, c]] += np.uint32(1)
    return histograms
