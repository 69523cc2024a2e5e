"""Diversification: the same grouping in several colour spaces, scales and similarity measures (Uijlings et al. 2013).

The blur, the sorted edges and the texture of a colour space are computed once for all scales.
"""

from typing import NamedTuple

import cv2
import numpy as np

from src.selective_search.grouping import Measures, group
from src.selective_search.regions import colour_bins, describe
from src.selective_search.segmentation import pixel_graph, segment
from src.selective_search.texture import texture_bins

EVERY = Measures(colour=True, texture=True, size=True, fill=True)
NO_COLOUR = EVERY._replace(colour=False)
SIZE = Measures(colour=False, texture=False, size=True, fill=False)
FILL = SIZE._replace(size=False, fill=True)


class Strategies(NamedTuple):
    """The colour spaces, scales and measures of a search, which runs all their combinations."""

    spaces: tuple[str, ...]
    scales: tuple[int, ...]  # k of the segmentation
    measures: tuple[Measures, ...]


# The choices of Sec. 5.2, with the numbers of OpenCV's `ximgproc`.
MODES = {
    "fast": Strategies(("hsv", "lab"), (150, 300, 450), (EVERY, NO_COLOUR)),
    "quality": Strategies(
        ("hsv", "lab", "grey", "hue", "rgi"), (150, 300, 450, 600, 750), (EVERY, NO_COLOUR, FILL, SIZE)
    ),
}


def search(image: np.ndarray, mode: str, *, texture: bool = True) -> np.ndarray:
    """Search an image for regions that may be objects: the boxes [N, 4] of all `hierarchies`, int32."""
    return np.concatenate(hierarchies(image, mode, texture=texture))


def hierarchies(image: np.ndarray, mode: str, *, texture: bool = True) -> list[np.ndarray]:
    """Group the regions of an image by each strategy of a mode.

    Args:
        image: RGB, uint8 [H, W, 3].
        mode: `fast` or `quality`.
        texture: False leaves the texture measure out of every similarity, and computes no texture.

    Returns:
        for each strategy int32 [N, 4], the boxes of its regions in the order in which they were made; the last is the
        whole image. Many boxes occur more than once, in one strategy and in several.
    """
    strategies = MODES[mode]
    boxes = []
    for name in strategies.spaces:
        space = converted(image, name)
        graph, colour = pixel_graph(space), colour_bins(space)
        bins = texture_bins(space) if texture else None
        for k in strategies.scales:
            regions = describe(segment(graph, k), colour, bins)
            boxes += [
                group(regions, measures._replace(texture=measures.texture and texture))
                for measures in strategies.measures
            ]
    return boxes


def converted(image: np.ndarray, space: str) -> np.ndarray:
    """Convert an RGB image to a colour space (Sec. 3.2.1): uint8 [H, W, C]."""
    if space == "lab":
        return cv2.cvtColor(image, cv2.COLOR_RGB2Lab)
    if space == "grey":
        return cv2.cvtColor(image, cv2.COLOR_RGB2GRAY)[..., None]
    if space == "rgi":  # red, green and intensity
        return np.dstack([image[..., :2], cv2.cvtColor(image, cv2.COLOR_RGB2GRAY)])
    hsv = cv2.cvtColor(image, cv2.COLOR_RGB2HSV)
    return hsv if space == "hsv" else hsv[..., :1]  # only the hue
