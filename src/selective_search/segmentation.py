"""Initial regions by the graph-based segmentation of Felzenszwalb and Huttenlocher (2004, IJCV 59).

Pixels are the nodes of a graph. An edge joins two adjacent pixels; its weight is the distance of their colours
after a blur. Regions grow along the edges from the lightest to the heaviest. The blur and the sorted edges depend on
the image alone, so one graph serves all values of k.

H, W, C: height, width and channels of the image; E: edges; P = H * W: pixels, row by row.
"""

from typing import NamedTuple

import cv2
import numpy as np

from src.selective_search.compiled import compiled

SIGMA = 0.8  # of the blur, in pixels (Sec. 6)
RADIUS = 3  # of its kernel, four sigma
MIN_SIZE = 100  # pixels of the smallest region; OpenCV's default


class Graph(NamedTuple):
    """The grid of pixels and its edges, the lightest first."""

    height: int
    width: int
    edges: np.ndarray  # uint64 [E]: upper 32 bits: the weight, a float32; lower 32 bits: the edge's number


def pixel_graph(image: np.ndarray) -> Graph:
    """Build the graph of an image and sort its edges.

    Args:
        image: uint8 [H, W, C].
    """
    height, width = image.shape[:2]
    edges = _edges(smooth(image))
    edges.sort()  # no two keys are equal, so the order is the same for every sorting algorithm
    return Graph(height, width, edges)


def smooth(image: np.ndarray) -> np.ndarray:
    """Blur an image with a Gaussian.

    OpenCV's blur rounds a product and a sum once on processors that can fuse them, and twice on others. This blur
    rounds once on all processors.

    Args:
        image: uint8 [H, W, C].

    Returns:
        float32 [H, W, C].
    """
    kernel = cv2.getGaussianKernel(2 * RADIUS + 1, SIGMA, cv2.CV_32F)[:, 0]
    border = (RADIUS, RADIUS)
    padded = np.pad(image, (border, border, (0, 0)), mode="reflect").astype(np.float32)
    return _blurred(padded.reshape(len(padded), -1), kernel, image.shape[2]).reshape(image.shape)


def segment(graph: Graph, k: float) -> np.ndarray:
    """Segment an image (Sec. 3.2, Algorithm 1), and merge regions that are too small.

    Args:
        graph: the graph of the image, from `pixel_graph`.
        k: scale; a larger k gives larger regions.

    Returns:
        int32 [H, W], the region of each pixel: 0, 1, ... in the order of the regions' first pixels.
    """
    labels = _segment(graph.edges, graph.height * graph.width, graph.width, np.float32(k), MIN_SIZE)
    return labels.reshape(graph.height, graph.width)


@compiled
def _blurred(padded: np.ndarray, kernel: np.ndarray, channels: int) -> np.ndarray:
    """Filter rows of interleaved channels along x and then along y, and remove the padding."""
    radius = len(kernel) // 2
    height, length = padded.shape[0] - 2 * radius, padded.shape[1] - 2 * radius * channels
    rows = np.zeros((height + 2 * radius, length), np.float32)
    for i in range(height + 2 * radius):
        for tap in range(2 * radius + 1):
            _add(rows[i], kernel[tap], padded[i, tap * channels :])
    blurred = np.zeros((height, length), np.float32)
    for i in range(height):
        middle = i + radius
        _add(blurred[i], kernel[radius], rows[middle])
        for offset in range(1, radius + 1):
            _add(blurred[i], kernel[radius - offset], rows[middle - offset] + rows[middle + offset])
    return blurred


@compiled
def _add(total: np.ndarray, weight: np.float32, row: np.ndarray) -> None:
    """Add weight * row to the total, rounded once: the product of two float32 is exact in float64."""
    for n in range(len(total)):
        total[n] = np.float64(weight) * row[n] + total[n]


@compiled
def _edges(image: np.ndarray) -> np.ndarray:
    """Return the keys of all edges, unsorted: an edge to the right has an even number, an edge down an odd number."""
    height, width, channels = image.shape
    edges = np.empty(height * (width - 1) + (height - 1) * width, np.uint64)
    weight = np.empty(1, np.float32)
    bits = weight.view(np.uint32)  # the bits of non-negative floats sort like the floats themselves
    count = 0
    for i in range(height):
        for j in range(width):
            for down in range(2):
                i2, j2 = i + down, j + 1 - down
                if i2 == height or j2 == width:
                    continue
                total = np.float32(0)
                for c in range(channels):
                    difference = image[i, j, c] - image[i2, j2, c]
                    total += difference * difference
                weight[0] = np.sqrt(total)
                edges[count] = np.uint64(bits[0]) << np.uint64(32) | np.uint64(2 * (i * width + j) + down)
                count += 1
    return edges


@compiled
def _segment(edges: np.ndarray, pixels: int, width: int, k: np.float32, min_size: int) -> np.ndarray:
    """Grow regions along the sorted edges; return the region of each pixel, int32 [P]."""
    parent = np.arange(pixels).astype(np.int32)  # the trees of a union-find structure; a root stands for its region
    size = np.ones(pixels, np.int32)
    thresh = np.full(pixels, k, np.float32)  # Int(C) + k / |C| of each root's region (Eq. 4)
    bits = np.empty(1, np.uint32)
    weight = bits.view(np.float32)
    between = np.empty(len(edges), np.int32)  # edges that joined no regions
    count = 0
    for key in edges:
        edge = np.int64(key & np.uint64(0xFFFFFFFF))
        a, b = _ends(edge, width)
        a, b = _root(parent, a), _root(parent, b)
        if a == b:
            continue
        bits[0] = np.uint32(key >> np.uint64(32))
        if weight[0] <= thresh[a] and weight[0] <= thresh[b]:
            root = _join(parent, size, a, b)
            thresh[root] = weight[0] + k / np.float32(size[root])
        else:
            between[count] = edge
            count += 1
    for edge in between[:count]:
        a, b = _ends(edge, width)
        a, b = _root(parent, a), _root(parent, b)
        if a != b and (size[a] < min_size or size[b] < min_size):
            _join(parent, size, a, b)
    return _numbered(parent)


@compiled
def _ends(edge: np.int64, width: int) -> tuple[np.int64, np.int64]:
    """Return the two pixels of an edge."""
    pixel = edge >> 1
    return pixel, pixel + width if edge & 1 else pixel + 1


@compiled
def _root(parent: np.ndarray, pixel: np.int64) -> np.int64:
    """Find the root of a pixel's region, and shorten the path to it."""
    while parent[pixel] != pixel:
        parent[pixel] = parent[parent[pixel]]
        pixel = parent[pixel]
    return pixel


@compiled
def _join(parent: np.ndarray, size: np.ndarray, a: np.int64, b: np.int64) -> np.int64:
    """Join the regions of two roots and return the root of both."""
    if size[a] < size[b]:
        a, b = b, a
    parent[b] = a
    size[a] += size[b]
    return a


@compiled
def _numbered(parent: np.ndarray) -> np.ndarray:
    """Number the regions in the order of their first pixels."""
    labels = np.empty(len(parent), np.int32)
    number = np.full(len(parent), -1, np.int32)
    count = 0
    for pixel in range(len(parent)):
        root = _root(parent, np.int64(pixel))
        if number[root] < 0:
            number[root] = count
            count += 1
        labels[pixel] = number[root]
    return labels
