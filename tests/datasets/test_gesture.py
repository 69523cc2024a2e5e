from collections import Counter
from pathlib import Path
from typing import Any

import pytest
from pydantic import ValidationError

from src.datasets import gesture
from src.errors import InputError
from src.files.prepared import DataSet
from src.ingest.archives import pack_folder, store
from src.ingest.drawn.gesture import CLASSES
from tests.ingest.test_archives import write_folder
from tests.ingest.test_class_folders import image

SECTION: dict[str, Any] = {
    "source": "local",
    "path": "mine",
    "split": {
        "rule": "pattern",
        "seed": 0,
        "fraction": {"val": 0.2, "test": 0.2},
        "every_nth": 5,
        "pattern": {"regex": r"hand(\d+)_", "val": ["2"], "test": ["3"]},
    },
    "limit": None,
    "sample": {"per_class": 6, "people": 3},
}
MEMBERS = {
    f"{name}/hand{person}_{number}.png": image(40 * person + number)
    for name in ("fist", "ok")
    for person in (1, 2, 3)
    for number in range(5)
}


def section(**changes: object) -> gesture.Params:
    return gesture.Params.model_validate({**SECTION, **changes})


def split(**changes: object) -> dict[str, Any]:
    return {**SECTION["split"], **changes}


def people(data: DataSet) -> dict[str, set[str]]:
    return {name: {image_id.split("/hand")[1][0] for image_id in ids} for name, ids in data.splits.items()}


@pytest.fixture
def raw(tmp_path: Path) -> Path:
    pack_folder(write_folder(tmp_path / "mine", MEMBERS), tmp_path / "raw" / "local.tar")
    return tmp_path / "raw"


def test_no_person_is_in_two_splits(raw: Path) -> None:
    data = gesture.prepare(raw, section(), 1)
    assert people(data) == {"train": {"1"}, "val": {"2"}, "test": {"3"}}
    assert data.summary() == "30 images (train 10, val 10, test 10) of 2 classes"


def test_the_other_rules_and_the_limit(raw: Path) -> None:
    data = gesture.prepare(raw, section(split=split(rule="fraction"), limit=8), 1)
    assert data.summary() == "20 images (train 8, val 6, test 6) of 2 classes"
    assert Counter(data.images[image_id]["label"] for image_id in data.splits["train"]) == {0: 4, 1: 4}
    data = gesture.prepare(raw, section(split=split(rule="every_nth")), 1)
    assert data.splits["val"] == sorted(MEMBERS)[::5]
    with pytest.raises(InputError, match=r"data\.gesture\.limit = 1: there are 2 classes"):
        gesture.prepare(raw, section(limit=1), 1)
    with pytest.raises(InputError, match=r"data\.gesture\.split\.pattern\.val names group '9'.*choose from 1, 2, 3"):
        gesture.prepare(raw, section(split=split(pattern={"regex": r"hand(\d)", "val": [9], "test": [3]})), 1)


def test_the_official_set_is_refused_with_a_word_on_how_to_use_ones_own() -> None:
    with pytest.raises(
        ValidationError, match="on a private share and cannot be downloaded.*set source to local and path"
    ):
        section(source="official")


def test_the_sample_splits_by_person_as_well_as_by_image(tmp_path: Path) -> None:
    assert gesture.fetch(section(source="sample"), tmp_path, seed=0, jobs=1) == [tmp_path / "sample.tar"]
    data = gesture.prepare(tmp_path, section(source="sample"), 1)
    assert tuple(data.classes) == CLASSES
    assert people(data) == {"train": {"1"}, "val": {"2"}, "test": {"3"}}
    assert {name: len(ids) for name, ids in data.splits.items()} == {"train": 28, "val": 28, "test": 28}


@pytest.mark.real
def test_the_real_hands_by_image_and_by_person(shared_data: Path, tmp_path: Path) -> None:
    store(shared_data / "gesture14.zip", tmp_path, "local")
    by_image = gesture.prepare(tmp_path, section(split=split(rule="fraction")), 1)
    assert by_image.summary() == "770 images (train 462, val 154, test 154) of 14 classes"
    by_person = gesture.prepare(tmp_path, section(), 1)
    assert people(by_person) == {"train": {"1"}, "val": {"2"}, "test": {"3"}}
    assert by_person.summary() == "770 images (train 350, val 350, test 70) of 14 classes"
    pattern = {**SECTION["split"]["pattern"], "val": None}
    both = gesture.prepare(tmp_path, section(split=split(pattern=pattern)), 1)
    assert people(both) == {"train": {"1", "2"}, "val": {"1", "2"}, "test": {"3"}}
    assert both.summary() == "770 images (train 560, val 140, test 70) of 14 classes"
