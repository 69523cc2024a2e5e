import re
from xml.etree import ElementTree

import networkx as nx
import pytest

from src.report.blocks import More
from src.report.dag import draw, section
from src.report.inputs import Inputs


def boxes(svg: str) -> dict[str, tuple[float, float, float, float]]:
    """x, y, width and height by name."""
    root = ElementTree.fromstring(svg)
    names = [item.text for item in root.iter() if item.tag == "text"]
    sides = [tuple(float(item.attrib[key]) for key in ("x", "y", "width", "height")) for item in root.iter("rect")]
    return dict(zip(names, sides, strict=True))


@pytest.mark.parametrize(
    "edges",
    [
        [("get", "show")],
        [("get", "show"), ("other", "show"), ("get", "more"), ("more", "last"), ("show", "last")],
        [("get", "show"), ("apart", "too")],
    ],
)
def test_boxes_stand_apart_inside_the_drawing_each_below_what_it_stands_on(edges) -> None:
    svg = draw(nx.DiGraph(edges))
    found = boxes(svg)
    _, _, width, height = map(float, re.search(r'viewBox="([\d. ]+)"', svg)[1].split())
    for name, (x, y, w, h) in found.items():
        assert 0 <= x <= x + w <= width
        assert 0 <= y <= y + h <= height
        for other, (x2, y2, w2, h2) in found.items():
            assert name == other or x + w <= x2 or x2 + w2 <= x or y + h <= y2 or y2 + h2 <= y
    assert all(found[start][1] + found[start][3] < found[end][1] for start, end in edges)
    assert svg.count("marker-end") == len(edges)


def test_a_stage_on_its_own_is_drawn_too() -> None:
    alone = nx.DiGraph([("get", "show")])
    alone.add_node("apart")
    assert set(boxes(draw(alone))) == {"get", "show", "apart"}


def test_the_table_says_what_the_drawing_shows(inputs: Inputs) -> None:
    more = section(inputs).blocks[-1]
    assert isinstance(more, More)
    rows = {row[0]: row for row in more.blocks[0].rows}
    assert rows["check"][2] == "nothing"
    assert rows["score_rcnn"][2] == "train_bbox, train_svm"
    assert rows["prepare"][1] == 3
    assert rows["report"][2] == "summary"
    assert set(rows["summary"][2].split(", ")) == {"evaluate_detections", "evaluate_proposals", "evaluate_classifier"}
