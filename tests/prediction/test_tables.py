import io
import json
from contextlib import redirect_stdout
from pathlib import Path

import numpy as np
import pandas as pd
from faster_coco_eval import COCO

from src.files.records import Record
from src.files.storage import write_csv
from src.prediction.tables import (
    DETECTION_COLUMNS,
    Detected,
    class_results,
    class_table,
    coco_results,
    coco_set,
    detection_table,
    numbered,
    write_json,
)

BOAT: Record = {
    "boxes": np.array([[10, 20, 50, 80.5]], np.float32),
    "labels": np.array([2]),
    "scores": np.array([0.123456], np.float32),
}
NOTHING: Record = {name: values[:0] for name, values in BOAT.items()}
FOUND = {"x": Detected("x.jpg", (90, 100), NOTHING), "a/1": Detected("1.png", (100, 60), BOAT)}
CLASSES = ["car", "boat"]


def test_a_box_is_given_by_its_corner_width_and_height(tmp_path: Path) -> None:
    write_json(tmp_path / "ssd300.json", coco_results(FOUND))
    write_csv(tmp_path / "ssd300.csv", detection_table(FOUND, CLASSES))
    assert json.loads((tmp_path / "ssd300.json").read_text()) == [
        {"image_id": 2, "category_id": 2, "bbox": [10, 20, 40, 60.5], "score": 0.1235}
    ]
    row = [2, "a/1", 2, "boat", 0.1235, 10, 20, 50, 80.5]
    assert pd.read_csv(tmp_path / "ssd300.csv").to_dict("records") == [dict(zip(DETECTION_COLUMNS, row, strict=True))]


def test_a_reader_of_the_coco_format_takes_it(tmp_path: Path) -> None:
    write_json(tmp_path / "images.json", coco_set(FOUND, CLASSES, 0.5))
    write_json(tmp_path / "results.json", coco_results(FOUND))
    with redirect_stdout(io.StringIO()):
        loaded = COCO(str(tmp_path / "images.json")).loadRes(str(tmp_path / "results.json"))
    (annotation,) = loaded.anns.values()
    assert annotation["area"] == 40 * 60.5
    assert loaded.imgs[annotation["image_id"]]["file_name"] == "1.png"
    assert loaded.cats[annotation["category_id"]]["name"] == "boat"


def test_what_is_above_the_threshold_comes_back_as_a_labelled_set(tmp_path: Path) -> None:
    write_json(tmp_path / "result.json", coco_set(FOUND, CLASSES, 0.1))
    with redirect_stdout(io.StringIO()):
        loaded = COCO(str(tmp_path / "result.json"))
    (annotation,) = loaded.loadAnns(loaded.getAnnIds(imgIds=[2]))
    assert annotation["id"] == 1
    assert annotation["iscrowd"] == 0
    assert annotation["bbox"] == [10, 20, 40, 60.5]
    assert annotation["area"] == 40 * 60.5
    assert coco_set(FOUND, CLASSES, 0.13)["annotations"] == []


def test_images_named_by_numbers_keep_them_unless_two_are_the_same() -> None:
    assert numbered(["000251", "000007"]) == {"000251": 251, "000007": 7}
    assert numbered(["000251", "cat"]) == {"000251": 1, "cat": 2}
    assert numbered(["01", "1"]) == {"01": 1, "1": 2}
    assert numbered(["²"]) == {"²": 1}
    assert numbered([]) == {}


def test_nothing_found_is_an_empty_list_and_a_table_with_its_header(tmp_path: Path) -> None:
    found = {"x": FOUND["x"]}
    assert coco_results(found) == []
    write_csv(tmp_path / "ssd300.csv", detection_table(found, CLASSES))
    assert list(pd.read_csv(tmp_path / "ssd300.csv").columns) == DETECTION_COLUMNS


def test_classes_have_a_row_an_image(tmp_path: Path) -> None:
    by_image = {"x": np.array([0.25, 0.75])}
    row = {"image": "x", "predicted": "yes", "score": 0.75}
    assert class_results(by_image, ["no", "yes"]) == [{**row, "probabilities": {"no": 0.25, "yes": 0.75}}]
    assert class_table(by_image, ["no", "yes"]).to_dict("records") == [{**row, "p_no": 0.25, "p_yes": 0.75}]
