from pathlib import Path

import pytest

from src.cards.data import of_labels, of_objects, origin, same_people
from tests.labelled import digits
from tests.trained import scenes


def test_images_and_objects_are_counted_by_split_and_class(tmp_path: Path) -> None:
    train, test = of_objects(scenes(tmp_path / "voc.zip"), [("train", "a"), ("test", "the figures"), ("train", "b")])
    assert train == ("train", "a; b", 1, {"circle": 1, "square": 0})
    assert test == ("test", "the figures", 2, {"circle": 2, "square": 0})


def test_labels_are_counted_by_split_and_class(tmp_path: Path) -> None:
    (test,) = of_labels(digits(tmp_path / "mnist.zip"), [("test", "the figures")])
    assert test.images == 20
    assert sum(test.classes.values()) == 20
    assert list(test.classes) == [str(number) for number in range(10)]


def test_of_a_set_of_your_own_no_folder_is_named() -> None:
    assert origin("voc", {"source": "local", "path": "/home/me/set.tar"}) == "the user's own data set, `set.tar`"
    assert "draws itself" in origin("voc", {"source": "sample", "path": None})
    assert origin("new", {"source": "official"}) == "`data.new.source: official`"


@pytest.mark.parametrize(
    ("name", "source", "split", "same"),
    [
        ("mnist", "sample", {"rule": "fraction"}, True),
        ("mnist", "official", {"rule": "fraction"}, False),
        ("gesture", "local", {"rule": "fraction", "pattern": {}}, True),
        ("gesture", "local", {"rule": "pattern", "pattern": {}}, False),
    ],
)
def test_whether_people_are_in_two_splits(name: str, source: str, split: dict, same: bool) -> None:
    assert same_people(name, {"source": source, "split": split}) == same
    assert not same_people("voc", {"source": "sample"})
