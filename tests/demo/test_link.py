from urllib.parse import parse_qsl

import numpy as np
import pytest

from src.demo.link import query, read
from src.demo.panels import Panel
from src.demo.photo import Example, Photo
from src.demo.place import Place

IMAGE = np.zeros((8, 8, 3), np.uint8)
EXAMPLES = [Example("000001", IMAGE, "voc"), Example("test/3/7.png", IMAGE, "mnist")]


@pytest.fixture
def places(panels: dict[str, Panel | str]) -> list[Place]:
    return [Place(name, panel) for name, panel in panels.items()]


def usual(places: list[Place]) -> list[float]:
    return read({}, places, EXAMPLES).values


@pytest.mark.parametrize(("number", "truth"), [(0, True), (1, False)])
def test_a_link_gives_back_what_it_was_made_of(places: list[Place], number: int, truth: bool) -> None:
    values = [20, -0.35, 0.4, 0.05, 0.25, 0.9, 1, 0.1, 0.2, 0.3, 0.4]
    assert len(values) == len(usual(places))
    link = query(EXAMPLES[number].photo(number), places, ["rcnn", "rpn"], values, truth)
    assert link.startswith("?image=")
    found = read(dict(parse_qsl(link[1:], keep_blank_values=True)), places, EXAMPLES)
    assert found == (number, truth, ["rcnn", "rpn"], values, [])


def test_no_method_and_a_visitors_photo(places: list[Place]) -> None:
    link = query(Photo(IMAGE, "secret name"), places, [], usual(places), True)
    assert "secret" not in link
    found = read(dict(parse_qsl(link[1:], keep_blank_values=True)), places, EXAMPLES)
    assert found == (None, True, [], usual(places), [])


def test_an_empty_link_is_the_page_as_it_begins(places: list[Place]) -> None:
    assert read({}, places, EXAMPLES) == (None, True, [place.name for place in places], usual(places), [])


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        ({"image": "voc/9"}, "The link names the test image voc/9, which is not among those of this run."),
        ({"methods": "rcnn,yolo"}, "The link names methods that this run does not have: yolo."),
        ({"truth": "perhaps"}, "The link says truth=perhaps of the true objects, which is neither yes nor no."),
        ({"ssd300": "0.5,nan"}, "The link's numbers for SSD are not those of its sliders (score above, 0 to 1; "),
        ({"ssd300": "0.5,7"}, "The link's numbers for SSD"),
        ({"ssd300": "0.5"}, "The link's numbers for SSD"),
        ({"ssd300": "a,b"}, "The link's numbers for SSD"),
    ],
)
def test_what_does_not_fit_is_said_and_the_rest_counts(places: list[Place], words: dict, sentence: str) -> None:
    found = read({"rpn": "0.75,0.5", **words}, places, EXAMPLES)
    assert len(found.problems) == 1
    assert found.problems[0].startswith(sentence)
    first = sum(len(place.controls) for place in places[: [place.name for place in places].index("rpn")])
    assert found.values[first : first + 2] == [0.75, 0.5]
    assert [*found.values[:first], *found.values[first + 2 :]] == [*usual(places)[:first], *usual(places)[first + 2 :]]
    assert set(found.methods) <= {place.name for place in places}
