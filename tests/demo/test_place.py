import re
from pathlib import Path

import numpy as np
import pytest

from commands.demo import Params, about, examples
from src.demo.panels import Panel
from src.demo.photo import Photo
from src.demo.place import Place
from src.files.records import write_records
from tests.trained import scene


@pytest.fixture
def places(panels: dict[str, Panel | str]) -> dict[str, Place]:
    return {name: Place(name, panel) for name, panel in panels.items()}


def test_without_a_photo_every_place_says_so(places: dict[str, Place]) -> None:
    assert "no photo" in places["rcnn"].fill(None, 1, 2, 3)
    assert "no photo" in places["mobilenet_v3"].fill(None)
    assert "<code>dvc repro train_classifier@resnet50</code>" in places["resnet50"].fill(None)


def test_a_classifier_is_folded_on_a_visitors_photo_and_open_on_its_own(places: dict[str, Place]) -> None:
    place = places["mobilenet_v3"]
    upload, digit = Photo(scene(32, 32), "x"), Photo(scene(32, 32), "x", "mnist")
    for photo in (upload, digit):
        place.look(photo)
    folded, opened = place.fill(upload), place.fill(digit)
    assert folded.startswith("<details><summary>Knows the set mnist alone (one digit, light on black), and gives")
    assert "<details" not in opened
    shares = [float(value) for value in re.findall(r'<meter value="([0-9.]+)"', opened)]
    assert shares == sorted(shares, reverse=True)
    assert len(shares) == 5


def test_a_place_looks_once_and_shows_its_pictures_and_times(places: dict[str, Place]) -> None:
    photo = Photo(scene(90, 120), "x")
    assert "is working" in places["ssd300"].fill(photo, 0.0, 0.45)
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
    assert [name for name, place in places.items() if place.fits(digit)] == ["mobilenet_v3", "resnet50"]


def test_examples_are_of_the_sets_that_are_there(params: Params) -> None:
    found = examples(params)
    assert [(one.image_id, one.data) for one in found] == [("000001", "voc"), ("000002", "voc")]
    name, box = found[0].objects[0]
    assert (name, box.tolist()) == ("circle", [1, 1, 30, 30])


def test_the_first_example_is_the_scene_on_which_the_last_run_found_most(
    params: Params, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr("src.demo.start.LEAST_OBJECTS", 1)
    monkeypatch.setattr("commands.demo.DETECTIONS", tmp_path)
    right = {"boxes": np.array([[1, 1, 30, 30]], np.float32), "labels": np.ones(1, int), "scores": np.ones(1)}
    wrong = {**right, "boxes": right["boxes"] + 40}
    (tmp_path / "ssd300").mkdir()
    write_records(tmp_path / "ssd300/detections.npz", {"000001": wrong, "000002": right})
    assert [one.image_id for one in examples(params)] == ["000002", "000001"]
    write_records(tmp_path / "ssd300/detections.npz", {"of other data": right})
    assert [one.image_id for one in examples(params)] == ["000001", "000002"]


def test_what_the_detectors_know_is_said_and_nothing_without_detectors(
    params: Params, panels: dict[str, Panel | str]
) -> None:
    assert about(params, panels).startswith("The detectors know circle, square. They learnt from drawn scenes")
    assert about(params, {"rcnn": "models/rcnn.safetensors is missing"}) == ""
