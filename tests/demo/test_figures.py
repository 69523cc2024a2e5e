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
    assert [text.text for text in html.iter("text")][-1] == "<boat> 0.90"
    assert html.get("data-count") == "3"
    assert "3 boxes, the best <boat> 0.90" in str(next(html.iter("svg")).get("aria-label"))


def test_many_boxes_have_no_names_written_and_none_have_none() -> None:
    many = parsed(figure("", (90, 120), record(LABELLED + 1), ["boat"], "detections"))
    assert not list(many.iter("text"))
    none = parsed(figure("", (90, 120), record(0), ["boat"], "detections"))
    assert not list(none.iter("rect"))
    assert none.findtext("figcaption") == "detections: 0"


def test_of_thousands_the_best_are_drawn_and_all_are_counted() -> None:
    html = parsed(figure("", (90, 120), record(5000), ["boat"], "detections"))
    assert len(list(html.iter("rect"))) == DRAWN
    assert html.findtext("figcaption") == f"detections: 5000, the best {DRAWN} are drawn"
    assert [title.text for title in html.iter("title")][-1] == "boat 0.90"


def test_proposals_have_neither_classes_nor_scores() -> None:
    html = parsed(figure("", (90, 120), {"boxes": record(2)["boxes"]}, [], "proposals"))
    assert len(list(html.iter("rect"))) == 2
    assert not list(html.iter("text"))
