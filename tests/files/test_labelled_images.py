from pathlib import Path

import cv2
import numpy as np

from src.files.labelled_images import LabelledImages
from src.files.prepared import DataSet

IMAGES = {
    "fist/a.png": {"file": "images/fist/a.png", "label": 0},
    "ok/a.png": {"file": "images/ok/a.png", "label": 1},
}


def data() -> DataSet:
    contents = [cv2.imencode(".png", np.full((4, 6, 3), value, np.uint8))[1].tobytes() for value in (200, 100)]
    files = [entry["file"] for entry in IMAGES.values()]
    splits = {"train": ["fist/a.png", "ok/a.png"], "val": [], "test": []}
    return DataSet(["fist", "ok"], splits, IMAGES, zip(files, contents, strict=True))


def test_images_of_one_name_in_two_classes_stay_two(tmp_path: Path) -> None:
    data().write(tmp_path / "tiny.zip")
    images = LabelledImages(tmp_path / "tiny.zip")
    assert images.ids("train") == ["fist/a.png", "ok/a.png"]
    assert [images.label(image_id) for image_id in images.ids("train")] == [0, 1]
    assert [images.image(image_id).max() for image_id in images.ids("train")] == [200, 100]
    assert images.classes == ["fist", "ok"]


def test_a_data_set_is_summed_up_in_a_line() -> None:
    assert data().summary() == "2 images (train 2, val 0, test 0) of 2 classes"
