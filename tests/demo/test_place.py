import re

import pytest

from commands.demo import Params, about, examples
from src.demo.panels import Panel
from src.demo.photo import Photo
from src.demo.place import Place
from tests.trained import scene


@pytest.fixture
def places(panels: dict[str, Panel | str]) -> dict[str, Place]:
    return {name: Place(name, panel) for name, panel in panels.items()}


def test_before_any_photo_every_place_says_so(places: dict[str, Place]) -> None:
    assert "no photo yet" in places["rcnn"].fill(None, 1, 2, 3)
    html, probabilities = places["mobilenet_v3"].fill(None)
    assert "always gives one of its classes, whatever the photo shows" in html
    assert probabilities is None
    assert "<code>dvc repro train_classifier@resnet50</code>" in places["resnet50"].fill(None)


def test_a_place_looks_once_and_shows_its_pictures_and_times(places: dict[str, Place]) -> None:
    photo = Photo(scene(90, 120), "x")
    assert "not run yet" in places["ssd300"].fill(photo, 0.0, 0.45)
    places["ssd300"].look(photo)
    look = photo.looks["ssd300"]
    places["ssd300"].look(photo)
    assert photo.looks["ssd300"] is look
    html = places["ssd300"].fill(photo, 0.0, 0.45)
    assert html.count("<figure") == 1
    assert "<rect" in html
    assert re.search(r"network \d+ ms", html)


def test_a_test_image_is_shown_to_the_methods_of_its_kind(places: dict[str, Place]) -> None:
    digit = Photo(scene(32, 32), "x", "mnist")
    for place in places.values():
        place.look(digit)
    assert list(digit.looks) == ["mobilenet_v3"]
    assert "images of another kind" in places["rcnn"].fill(digit, 1, 2, 3)


def test_examples_are_of_the_sets_that_are_there(params: Params) -> None:
    assert [(one.image_id, one.data) for one in examples(params)] == [("000001", "voc"), ("000002", "voc")]


def test_what_the_detectors_know_is_said_and_nothing_without_detectors(
    params: Params, panels: dict[str, Panel | str]
) -> None:
    assert about(params, panels).startswith("The detectors know circle, square. They learnt from drawn scenes")
    assert about(params, {"rcnn": "models/rcnn.safetensors is missing"}) == ""
