"""A small made-up run: two-class scenes with proposals, scores of them, and detections of both methods."""

from pathlib import Path

import cv2
import numpy as np
from ruamel.yaml import YAML

from commands.write_deps import ROOT
from src.files.boxed_images import BoxedImages
from src.files.prepared import write_prepared
from src.files.records import write_records
from src.pictures.run import Run
from src.rcnn.score import NUMBERS

SIZE = (120, 160)  # height, width
CLASSES = ["car", "tree"]
OBJECTS = {  # the last scene alone has three objects, and R-CNN misses one of them
    "000001": [],
    "000002": [([40, 40, 90, 90], 1)],
    "000003": [([5, 20, 50, 80], 1), ([60, 30, 100, 90], 2), ([110, 40, 150, 100], 2)],
}
SETTINGS = YAML(typ="safe").load((ROOT / "params.yaml").read_text())


def write_run(root: Path, objects: dict[str, list] = OBJECTS) -> Run:
    """Write params.yaml and the outputs that the pictures show, and return them."""
    rng = np.random.default_rng(0)
    content = {**SETTINGS, "splits": {**SETTINGS["splits"], "test": "test"}}
    for section in content["detectors"].values():
        section["model"]["width"] = 0.25
    root.mkdir(parents=True, exist_ok=True)
    YAML().dump(content, root / "params.yaml")
    images, contents, proposals, found = {}, [], {}, {"rcnn": {}, "ssd300": {}}
    for name, boxes in objects.items():
        picture = cv2.GaussianBlur(rng.integers(0, 256, (*SIZE, 3), np.uint8), (0, 0), 3)
        contents.append((f"{name}.png", cv2.imencode(".png", picture)[1].tobytes()))
        targets = {"boxes": [box for box, _ in boxes], "labels": [label for _, label in boxes]}
        place = {"file": f"{name}.png", "height": SIZE[0], "width": SIZE[1], "difficult": [False] * len(boxes)}
        images[name] = {**place, **targets}
        corners = rng.integers(0, 80, (20, 2))
        random = np.concatenate([corners, corners + rng.integers(10, 40, (20, 2))], axis=1)
        near = [np.array(box) + shift for box, _ in boxes for shift in range(-4, 4)]
        proposals[name] = {"boxes": np.array([*near, *random], np.float32)}
        for method, records in found.items():
            shown = boxes[1:] if method == "rcnn" else boxes
            records[name] = {
                "boxes": np.array([box for box, _ in shown], np.float32).reshape(-1, 4) + 2,
                "labels": np.array([label for _, label in shown], np.int64),
                "scores": np.full(len(shown), 0.9, np.float32),
            }
    data = root / "data"
    write_prepared(data / "prepared/voc.zip", CLASSES, {"test": list(objects)}, images, contents)
    write_records(data / "proposals/selective_search.npz", proposals)
    (data / "scores").mkdir(parents=True)
    rows = sum(len(record["boxes"]) for record in proposals.values())
    np.save(data / "scores/rcnn.npy", rng.normal(size=(rows, len(CLASSES) * NUMBERS)).astype(np.float32))
    for method, records in found.items():
        for variant in ("detections", "no_bbox"):
            write_records(data / f"detections/{method}/{variant}.npz", records)
    return Run(
        BoxedImages(data / "prepared/voc.zip"),
        "test",
        data / "proposals/selective_search.npz",
        data / "scores/rcnn.npy",
        data / "detections",
        content["detectors"],
    )
