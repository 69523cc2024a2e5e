"""Region proposals by selective search (Uijlings et al. 2013, IJCV 104): by this project's kernels, or by OpenCV.

Both engines find the same boxes apart from ties. OpenCV returns the same *set* of boxes at every call, but C's `rand()`
shuffles their order. Here the order comes from the seed and the image id, so it does not depend on earlier calls, on
the number of workers or on the machine's C library. It is a random one, or the paper's ranking (`ranked`).
"""

import zlib
from collections.abc import Sequence
from typing import Literal

import cv2
import numpy as np
from pydantic import model_validator

from src.params import Count, Fraction, Section

MAX_ASPECT = 2.4  # beyond about 2.43 some releases read outside the image (opencv_contrib#2102, #705)


class SelectiveSearch(Section):
    """The section `selective_search` of params.yaml."""

    engine: Literal["own", "opencv"]
    mode: Literal["fast", "quality"]
    texture: bool
    ranked: bool
    width: Count | None
    min_side: Count
    nms_thresh: Fraction | None
    max_proposals: Count | None

    @model_validator(mode="after")
    def _of_the_engine(self) -> "SelectiveSearch":
        check_engine(self.engine, texture=self.texture, ranked=self.ranked)
        return self


def check_engine(engine: str, *, texture: bool, ranked: bool) -> None:
    """Raise a `ValueError` if OpenCV's engine is asked for what only our own has."""
    for name, value, wanted in (("texture", texture, True), ("ranked", ranked, False)):
        if engine == "opencv" and value != wanted:
            raise ValueError(
                f"engine opencv has no {name}: {str(value).lower()}; set engine to own, or {name} to "
                f"{str(wanted).lower()}"
            )


def propose(
    image: np.ndarray,
    *,
    engine: str = "own",
    mode: str = "fast",
    texture: bool = True,
    ranked: bool = False,
    width: int | None = None,
    min_side: int = 20,
    nms_thresh: float | None = None,
    max_proposals: int | None = None,
    seed: int = 0,
    image_id: str = "",
) -> np.ndarray:
    """Propose boxes that may hold an object of any class.

    Args:
        image: RGB, uint8 [H, W, 3].
        engine: `own` (src/selective_search) or `opencv`, which takes six times as long.
        mode: `fast` (2 colour spaces, 3 scales, 2 measures) or `quality` (5, 5, 4), Sec. 5.2.
        texture: False leaves the texture measure out of the similarities (Sec. 3.2.2), which takes less time
            (docs/results.md); `own` only.
        ranked: True for the paper's ranking (`ranking`), so that the first boxes are the likelier objects; False for a
            random order, in which the first boxes are a random choice. `own` only.
        width: the image is resized to this width before the search, as in the released code of R-CNN (500), and the
            boxes are scaled back; pixels. So the scales of the segmentation mean the same in a small and in a large
            photo. None searches the image as it is.
        min_side: a box whose width or height is smaller is left out; pixels of the resized image, as in the released
            code.
        nms_thresh: a box whose IoU with an earlier box is above this is left out as a near duplicate; None leaves out
            only exact duplicates. On VOC photos 0.75 halves the number of boxes and lowers the recall at IoU 0.5 by
            0.01, and a random half lowers it by 0.05 (docs/results.md).
        max_proposals: at most this many boxes, the first in the order; None keeps all.
        seed, image_id: the order depends on these two alone.

    Returns:
        float32 [N, 4], in pixels of `image` and inside it, all different, in their order; [0, 4] if no box is
        large enough. They are integers if the image was not resized; else they are not rounded, because rounding
        would change their overlaps.

    Raises:
        ValueError: `opencv` is asked for what only `own` has.
    """
    check_engine(engine, texture=texture, ranked=ranked)
    resized = _resized(image, width)
    hierarchies = [_opencv(resized, mode)] if engine == "opencv" else _own(resized, mode, texture)
    rng = np.random.default_rng([seed, zlib.crc32(image_id.encode())])
    if ranked:
        boxes = _large(ranking(hierarchies, rng), min_side)
    else:
        boxes = _large(np.unique(np.concatenate(hierarchies), axis=0), min_side)
        boxes = boxes[rng.permutation(len(boxes))]
    if nms_thresh is not None:
        boxes = boxes[distinct(boxes, nms_thresh)]
    return _scaled_back(boxes[:max_proposals], resized.shape[:2], image.shape[:2])


def ranking(hierarchies: Sequence[np.ndarray], rng: np.random.Generator) -> np.ndarray:
    """Rank the boxes of several hierarchies (Uijlings et al. 2013, Sec. 3.3).

    A region's value is its place in its hierarchy, 1 for the whole image, times a random number from 0 to 1; the
    smallest value comes first. The place alone would bring the large regions of all hierarchies to the front. A box
    that several hierarchies have gets the best of its places, so boxes on which strategies agree tend to come early.

    Args:
        hierarchies: boxes [N, 4] of each, in the order of the merges, the whole image last; N may be 0.
        rng: source of the random numbers.

    Returns:
        the boxes, each once, the first in the ranking first.
    """
    places = np.concatenate([np.arange(len(boxes), 0, -1) for boxes in hierarchies])
    order = np.argsort(places * rng.random(len(places)), kind="stable")
    boxes = np.concatenate(hierarchies)[order]
    _, first = np.unique(boxes, axis=0, return_index=True)
    return boxes[np.sort(first)]


def _large(boxes: np.ndarray, min_side: int) -> np.ndarray:
    """Keep the boxes whose sides are both at least `min_side`."""
    return boxes[((boxes[:, 2:] - boxes[:, :2]) >= min_side).all(axis=1)]


def distinct(boxes: np.ndarray, nms_thresh: float) -> np.ndarray:
    """Find the boxes that have no near duplicate before them, and return their rows in order.

    Args:
        boxes: [N, 4]; N may be 0.
        nms_thresh: IoU above which two boxes are near duplicates.
    """
    # OpenCV's NMS, because importing torchvision for its NMS would cost each worker seconds.
    xywh = np.concatenate([boxes[:, :2], boxes[:, 2:] - boxes[:, :2]], axis=1)
    falling = np.arange(len(boxes), 0, -1, dtype=np.float32)
    return np.asarray(cv2.dnn.NMSBoxes(xywh.tolist(), falling.tolist(), 0.0, nms_thresh), int)


def _resized(image: np.ndarray, width: int | None) -> np.ndarray:
    """Resize an image to a width and keep its aspect ratio: area means when it shrinks, linear when it grows."""
    height, own = image.shape[:2]
    if width is None or width == own:
        return image
    size = width, max(1, round(height * width / own))
    return cv2.resize(image, size, interpolation=cv2.INTER_AREA if width < own else cv2.INTER_LINEAR)


def _scaled_back(boxes: np.ndarray, resized: tuple[int, ...], size: tuple[int, ...]) -> np.ndarray:
    """Convert boxes [N, 4] from pixels of an image of (height, width) `resized` to those of one of `size`."""
    if resized == size:
        return boxes
    (small_height, small_width), (height, width) = resized, size
    scaled = boxes.astype(float) * ([width / small_width, height / small_height] * 2)
    return np.minimum(scaled, [width, height] * 2).astype(np.float32)


def _own(image: np.ndarray, mode: str, texture: bool) -> list[np.ndarray]:
    # Imported here, because Numba takes 0.3 s to import and many stages search nothing.
    from src.selective_search.strategies import hierarchies

    return [boxes.astype(np.float32) for boxes in hierarchies(image, mode, texture=texture)]


def _opencv(image: np.ndarray, mode: str) -> np.ndarray:
    height, width = image.shape[:2]
    search = cv2.ximgproc.segmentation.createSelectiveSearchSegmentation()
    search.setBaseImage(cv2.cvtColor(_widened(image), cv2.COLOR_RGB2BGR))
    if mode == "quality":
        search.switchToSelectiveSearchQuality()
    else:
        search.switchToSelectiveSearchFast()
    x, y, w, h = np.asarray(search.process()).reshape(-1, 4).T
    boxes = np.stack([x, y, x + w, y + h], axis=1).astype(np.float32)
    return np.clip(boxes, 0, np.array([width, height, width, height], np.float32))


def _widened(image: np.ndarray) -> np.ndarray:
    """Widen an image that is too long for OpenCV: repeat its border along the short side."""
    height, width = image.shape[:2]
    below = max(0, int(np.ceil(width / MAX_ASPECT)) - height)
    beside = max(0, int(np.ceil(height / MAX_ASPECT)) - width)
    return cv2.copyMakeBorder(image, 0, below, 0, beside, cv2.BORDER_REPLICATE)
