"""Features of every region of the training images, computed once for the SVMs and the box regression.

There are two files: the regions (records of `boxes`, `is_gt` and `flipped` per image) and one half-precision array
[R, D] with one row per region, in the same order. src/rcnn/extract.py writes the array. This module reads it as a
memory map, so memory stays bounded for any number of images. It imports no network.
"""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Annotated, Literal

import numpy as np
from pydantic import ConfigDict, Field, field_validator

from src.boxes.matching import best_match, without_difficult
from src.boxes.target import Target
from src.errors import InputError
from src.files.boxed_images import BoxedImages
from src.files.records import Record, read_records
from src.params import Fraction, Positive, Section
from src.rcnn.planes import take

LAYERS = ("pool5", "fc6", "fc7")  # of the network that describes a region
SCALE_ROWS = 10_000


class Features(Section):
    """The section `features`: the regions to describe, and the layer that describes them."""

    model_config = ConfigDict(serialize_by_alias=True)  # `from` is a keyword of Python

    proposals: str
    source: Annotated[Literal["warp", "map"], Field(alias="from")]
    map_side: Annotated[int, Field(ge=64, le=4096)]
    layer: str
    precision: Literal["32-true", "bf16-mixed"]
    flip_iou_thresh: Fraction | None
    norm: Positive

    @property
    def side(self) -> int | None:
        """Pixels of the shorter side of an image whose regions share one map; None: each region is warped."""
        return self.map_side if self.source == "map" else None

    @field_validator("layer")
    @classmethod
    def _known(cls, layer: str) -> str:
        if not set(layer.split("+")) <= set(LAYERS):
            raise ValueError(f"must be one of {', '.join(LAYERS)}, or some of them joined by +")
        return layer


def to_describe(proposals: np.ndarray, target: Target, flip_iou_thresh: float | None) -> Record:
    """Select the regions of a training image to describe.

    Args:
        proposals: [P, 4].
        target: target of the image.
        flip_iou_thresh: a region with this IoU or more with an object is also described mirrored; None mirrors none.

    Returns:
        {boxes [N, 4], is_gt [N], flipped [N]}: first the ground-truth boxes that are not difficult, then the proposals,
        then the mirrored regions in the same order. A mirrored region keeps its box in the original image.
    """
    gt_boxes = without_difficult(target)["boxes"]
    boxes = np.concatenate([gt_boxes, proposals])
    is_gt = np.arange(len(boxes)) < len(gt_boxes)
    mirrored = np.zeros(0, int)
    if flip_iou_thresh is not None and len(gt_boxes):
        mirrored = np.flatnonzero(best_match(boxes, gt_boxes)[0] >= flip_iou_thresh)
    return {
        "boxes": np.concatenate([boxes, boxes[mirrored]]),
        "is_gt": np.concatenate([is_gt, is_gt[mirrored]]),
        "flipped": np.arange(len(boxes) + len(mirrored)) >= len(boxes),
    }


def unlabelled(proposals: np.ndarray) -> Record:
    """Return proposals [P, 4] as the regions of an image whose objects must not be known; nothing is mirrored."""
    return {"boxes": proposals, "is_gt": np.zeros(len(proposals), bool), "flipped": np.zeros(len(proposals), bool)}


def table_of(data: BoxedImages, proposals: Path, train: Sequence[str], rules: Features) -> dict[str, Record]:
    """Return the regions of the training images to describe, by image."""
    proposed = read_records(proposals, train)
    return {
        image_id: to_describe(record["boxes"], data.target(image_id), rules.flip_iou_thresh)
        for image_id, record in proposed.items()
    }


def rows(regions: Mapping[str, Record]) -> dict[str, slice]:
    """Return the slice of each image's regions in the array of features."""
    ends = np.cumsum([len(record["boxes"]) for record in regions.values()])
    return {
        image_id: slice(int(end) - len(record["boxes"]), int(end))
        for (image_id, record), end in zip(regions.items(), ends, strict=True)
    }


def read_described(features: Path, regions: Path, image_ids: Sequence[str]) -> tuple[np.ndarray, dict[str, Record]]:
    """Read the features [R, D] (a memory map) and the regions of the training images."""
    table = read_records(regions)
    if list(table) != list(image_ids):
        raise InputError(f"{regions} is not of the training images: run `dvc repro extract_features`")
    return np.load(features, mmap_mode="r"), table


def unit_scale(features: np.ndarray, widths: Sequence[int]) -> np.ndarray:
    """Compute factors [D] that bring the mean norm of the features to about 1, with an equal share per layer.

    The norms are measured on `SCALE_ROWS` evenly spread rows. They vary so much that 1,000 rows would leave an error of
    2 %. Without equal shares, the layer with the larger numbers would dominate.

    Args:
        features: [R, D]; R may be 0.
        widths: number of features per layer; the sum is D.
    """
    subset = take(features, np.linspace(0, len(features) - 1, min(len(features), SCALE_ROWS)).astype(int))
    parts = np.split(subset, np.cumsum(widths)[:-1], axis=1)
    norms = [max(float(np.linalg.norm(part, axis=1).mean()), 1e-6) if len(part) else 1.0 for part in parts]
    return np.repeat(1 / (np.array(norms) * len(widths) ** 0.5), widths).astype(np.float32)
