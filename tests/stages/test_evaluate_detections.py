import json

import numpy as np
import pandas as pd
import pytest

from src.errors import InputError
from src.files.prepared import write_prepared
from src.files.records import write_records
from src.splits import Splits
from stages.evaluate_detections import Params, run

NEAR, FAR = [0, 0, 10, 10], [50, 50, 60, 60]
OBJECTS = {
    "a": [("car", NEAR, False), ("car", FAR, True)],
    "b": [("cat", FAR, False), ("car", NEAR, False)],
    "c": [],
    "d": [("car", NEAR, False)],
}
CLASSES = ["car", "cat", "cow"]
PARAMS = Params(splits=Splits(finetune="train", detectors="train", validation=None, train="train", test="held out"))


def record(*rows):
    """Detections from (label, box, score)."""
    return {
        "boxes": np.array([row[1] for row in rows], np.float32).reshape(-1, 4),
        "labels": np.array([row[0] for row in rows], np.int64),
        "scores": np.array([row[2] for row in rows], np.float32),
    }


PERFECT = {
    "a": record((1, NEAR, 0.9), (1, FAR, 0.8)),
    "b": record((2, FAR, 0.7), (1, NEAR, 0.6)),
    "c": record(),
    "d": record(),
}
WITHOUT_CARS = {**PERFECT, "a": record(), "b": record((2, FAR, 0.7))}


@pytest.fixture
def evaluate(tmp_path):
    """Run the stage on detections, with variants by name; returns the metrics and the curves."""
    images = {
        image_id: {
            "file": f"{image_id}.jpg",
            "height": 100,
            "width": 100,
            "boxes": [box for _, box, _ in objects],
            "labels": [CLASSES.index(name) + 1 for name, _, _ in objects],
            "difficult": [difficult for *_, difficult in objects],
        }
        for image_id, objects in OBJECTS.items()
    }
    write_prepared(tmp_path / "voc.zip", CLASSES, {"train": ["d"], "held out": ["c", "a", "b"]}, images, [])

    def evaluate(detections, **variants):
        for name, records in {"detections": detections, **variants}.items():
            write_records(tmp_path / f"found/{name}.npz", records)
        run(
            PARAMS,
            images=tmp_path / "voc.zip",
            detections=tmp_path / "found",
            out=tmp_path / "out.json",
            curves=tmp_path / "curves.csv",
        )
        return json.loads((tmp_path / "out.json").read_text()), pd.read_csv(tmp_path / "curves.csv")

    return evaluate


def test_metrics_of_perfect_detections(evaluate):
    metrics, _ = evaluate(PERFECT, no_bbox=WITHOUT_CARS, random=PERFECT)
    errors = metrics.pop("standard_error")
    assert metrics == {
        "map_voc07": 1.0,
        "map_voc12": 1.0,
        "map_coco": 1.0,
        "map_voc07_no_bbox": 0.5,
        "map_voc07_random": 1.0,
        "ap": {"car": 1.0, "cat": 1.0, "cow": None},
        "coco": {
            **dict.fromkeys(["ap", "ap_50", "ap_75", "ap_small"], 1.0),
            **dict.fromkeys(["ap_medium", "ap_large", "ar_medium", "ar_large"]),  # all objects are small
            **dict.fromkeys(["ar_1", "ar_10", "ar_100", "ar_small"], 1.0),
        },
        "images": 3,
        "objects": 3,
        "classes": 3,
        "detections": 4,
    }
    order = ["map_voc07", "map_voc12", "map_coco", "map_voc07_no_bbox", "map_voc07_random", "ap", "coco", "images"]
    assert list(metrics)[:8] == order
    assert list(errors) == ["map_voc07", "map_coco", "map_voc07_no_bbox", "map_voc07_random"]
    assert errors["map_voc07"] == errors["map_coco"] == 0  # perfect in every resample
    assert errors["map_voc07_no_bbox"] > 0.1


def test_images_of_another_split_are_left_out(evaluate):
    false = {**PERFECT, "d": record((1, FAR, 5.0), (1, NEAR, 4.0))}
    assert evaluate(false)[0] == evaluate(PERFECT)[0]


def test_the_three_averages_are_not_mixed_up(evaluate):
    # One of two cars, after a false one, at an IoU of 0.8 (seven thresholds): precision 1/2 up to recall 1/2. No cat.
    detections = {**PERFECT, "a": record((1, [0, 0, 10, 8], 0.1)), "b": record(), "c": record((1, NEAR, 0.5))}
    metrics, _ = evaluate(detections)
    assert metrics["ap"] == {"car": round(6 / 11 / 2, 4), "cat": 0.0, "cow": None}
    assert metrics["map_voc07"] == round(6 / 11 / 2 / 2, 4)
    assert metrics["map_voc12"] == round(1 / 2 / 2 / 2, 4)
    assert metrics["map_coco"] == round(7 / 10 * 51 / 101 / 2 / 2, 5)  # four digits of a number below 0.1


def test_curves_hold_a_line_for_each_class_with_objects(evaluate):
    _, curves = evaluate({**PERFECT, "b": record()})  # one of two cars, and no cat
    assert list(curves.columns) == ["class", "recall", "precision"]
    assert curves.to_numpy().tolist() == [["car", 0.5, 1.0], ["cat", 0.0, 0.0]]


def test_no_detection_at_all(evaluate):
    metrics, _ = evaluate(dict.fromkeys(OBJECTS, record()))
    assert (metrics["map_voc07"], metrics["map_voc12"], metrics["map_coco"], metrics["detections"]) == (0, 0, 0, 0)


def test_same_bytes_each_time(evaluate, tmp_path):
    evaluate(PERFECT)
    before = [(tmp_path / name).read_bytes() for name in ("out.json", "curves.csv")]
    evaluate(PERFECT)
    assert [(tmp_path / name).read_bytes() for name in ("out.json", "curves.csv")] == before


def test_label_beyond_the_classes_names_the_file(evaluate):
    with pytest.raises(InputError, match=r"other\.npz: image b .* label 4"):
        evaluate(PERFECT, other={**PERFECT, "b": record((4, FAR, 0.7))})


def test_image_without_a_record_names_the_file(evaluate):
    with pytest.raises(InputError, match=r"detections\.npz has no record of image b"):
        evaluate({"a": record(), "c": record()})
