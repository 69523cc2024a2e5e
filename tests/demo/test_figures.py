from xml.etree import ElementTree

import numpy as np

from src.demo.figures import DRAWN, LABELLED, data_url, figure
from src.files.records import Record
from tests.trained import scene


def record(count: int) -> Record:
    boxes = np.tile(np.array([[10, 20, 50, 80]], np.float32), (count, 1))
    return {"boxes": boxes, "labels": np.ones(count, int), "scores": np.linspace(0.9, 0.1, count)}


def parsed(html: str) -> ElementTree.Element:
    return ElementTree.fromstring(html)


def test_every_box_is_there_and_the_best_on_top_with_its_name() -> None:
    html = parsed(figure(data_url(scene(90, 120)), (90, 120), record(3), ["<boat>"], "detections"))
    boxes = list(html.iter("rect"))
    assert len(boxes) == 3
    assert [boxes[0].get(name) for name in ("x", "y", "width", "height")] == ["10.0", "20.0", "40.0", "60.0"]
    assert [title.text for title in html.iter("title")][-1] == "<boat> 0.90"
    assert html.get("data-count") == "3"
    assert "3 boxes, the best <boat> 0.90" in str(next(html.iter("svg")).get("aria-label"))


def test_the_best_boxes_are_named_and_names_without_room_are_counted() -> None:
    many = parsed(figure("", (90, 120), record(LABELLED + 1), ["boat"], "detections"))
    names = [text.text for text in many.iter("text")]
    assert names[0] == "boat 0.90"
    assert 0 < len(names) <= LABELLED
    unnamed = f"{LABELLED + 1 - len(names)} without a name for lack of room"
    assert many.findtext("figcaption") == f"detections: 16 of 16 boxes drawn, {unnamed}"
    none = parsed(figure("", (90, 120), record(0), ["boat"], "detections", total=200))
    assert not list(none.iter("rect"))
    assert none.findtext("figcaption") == "detections: 0 of 200 boxes drawn"


def test_of_thousands_the_best_are_drawn_and_all_are_counted() -> None:
    html = parsed(figure("", (90, 120), record(5000), ["boat"], "detections", total=9000))
    assert len(list(html.iter("rect"))) == DRAWN
    assert str(html.findtext("figcaption")).startswith(f"detections: 5000 of 9000 boxes, the best {DRAWN} drawn")
    assert [title.text for title in html.iter("title")][-1] == "boat 0.90"


def test_true_objects_are_dashed_below_the_boxes() -> None:
    objects = [("<boat>", np.array([1, 2, 30, 40], np.float32))]
    html = parsed(figure("", (90, 120), record(1), ["boat"], "detections", objects=objects))
    groups = list(next(html.iter("svg")))
    assert [group.get("class") for group in groups if group.tag == "g"] == ["truth", None]
    paths = list(html.iter("path"))
    assert {path.get("d") for path in paths} == {"M1.0 2.0H30.0V40.0H1.0Z"}
    assert sum(path.get("stroke-dasharray") is not None for path in paths) == 1
    assert [title.text for title in html.iter("title")] == ["true: <boat>", "boat 0.90"]
    assert html.findtext("figcaption/span") == "; 1 true, dashed"


def test_proposals_have_neither_classes_nor_scores() -> None:
    html = parsed(figure("", (90, 120), {"boxes": record(2)["boxes"]}, [], "proposals"))
    assert len(list(html.iter("rect"))) == 2
    assert not list(html.iter("text"))
