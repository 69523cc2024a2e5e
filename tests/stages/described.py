"""Regions with made-up features, in the files that the stage extract_features writes."""

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from src.boxes.target import Target
from src.files.boxed_images import BoxedImages
from src.files.records import Record, write_records
from src.files.storage import write_npz
from src.rcnn.features import to_describe

RULES: dict[str, Any] = {  # the section `features`
    "proposals": "x",
    "from": "warp",
    "map_side": 600,
    "layer": "fc7",
    "precision": "32-true",
    "flip_iou_thresh": None,
    "norm": 20.0,
}


def write_described(
    folder: Path, images: BoxedImages, proposals: Mapping[str, Record], features: Callable[[Record, Target], np.ndarray]
) -> dict[str, Path]:
    """Write features of all training regions.

    Args:
        folder: the folder of the files.
        images: the images; their split `train` is described.
        proposals: by image.
        features: (regions of an image, its target) -> [N, D].

    Returns:
        the files by the names of the stages' options. The scale is 0.5 in every column.
    """
    regions, rows = {}, []
    for image_id in images.ids("train"):
        target = images.target(image_id)
        regions[image_id] = to_describe(proposals[image_id]["boxes"], target, None)
        rows.append(features(regions[image_id], target))
    width = rows[0].shape[1]
    write_records(folder / "regions.npz", regions)
    np.save(folder / "features.npy", np.concatenate(rows).astype(np.float16))
    write_npz(folder / "scale.npz", {"scale": np.full(width, 0.5, np.float32)})
    return {
        "images": images.path,
        "features": folder / "features.npy",
        **{name: folder / f"{name}.npz" for name in ("regions", "scale")},
    }
