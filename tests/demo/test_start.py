import numpy as np

from src.boxes.target import Target
from src.demo.start import first_scene
from src.files.records import Record

GRID = np.array([[0, 0, 10, 10], [20, 0, 30, 10], [40, 0, 50, 10]], np.float32)
FAR = np.array([[80, 80, 90, 90]], np.float32)


def target(count: int, difficult: bool = False) -> Target:
    return {
        "boxes": GRID[:count],
        "labels": np.ones(count, np.int64),
        "difficult": np.full(count, difficult),
        "image_id": "",
    }


def record(found: int, wrong: int = 0, score: float = 0.9) -> Record:
    boxes = np.concatenate([GRID[:found], np.repeat(FAR, wrong, axis=0)])
    return {"boxes": boxes, "labels": np.ones(len(boxes), np.int64), "scores": np.full(len(boxes), score)}


def test_the_weaker_method_decides_then_false_boxes_then_objects_then_the_order() -> None:
    targets = {"d": target(2), "c": target(2), "b": target(3), "a": target(3), "lone": target(1)}
    good = {image_id: record(len(one["boxes"])) for image_id, one in targets.items()}
    assert first_scene(targets, [(good, 0.5)], ["boat"]) == "b", "most objects; the first of two equals"
    weak = {**good, "a": record(0), "b": record(2)}
    assert first_scene(targets, [(good, 0.5), (weak, 0.5)], ["boat"]) == "d"
    assert first_scene(targets, [({**weak, "d": record(2, wrong=1)}, 0.5), (good, 0.5)], ["boat"]) == "c"


def test_boxes_below_the_score_do_not_count() -> None:
    targets = {"a": target(2), "b": target(2)}
    detections = {"a": record(2, score=0.4), "b": record(2, score=0.6)}
    assert first_scene(targets, [(detections, 0.5)], ["boat"]) == "b"


def test_without_detections_or_scenes_with_objects_there_is_none() -> None:
    assert first_scene({"a": target(2)}, [], ["boat"]) is None
    targets = {"a": target(1), "b": target(2, difficult=True)}
    assert first_scene(targets, [({"a": record(1), "b": record(2)}, 0.5)], ["boat"]) is None
