import unicodedata

import pytest

from src.errors import InputError
from src.ingest.archives import open_archive
from src.ingest.image_files import by_folder, images_of, split_of
from tests.ingest.test_archives import write_zip


def images(tmp_path, *names: str):
    return images_of(open_archive(write_zip(tmp_path / "set.zip", dict.fromkeys(names, b""))))


@pytest.mark.parametrize(
    ("written", "found"),
    [
        ("a.jpg", "images/a.jpg"),
        ("A.JPG", "images/a.jpg"),
        ("/data/upload/1/a.jpg", "images/a.jpg"),
        ("C:\\photos\\a.jpg", "images/a.jpg"),
        ("a", "images/a.jpg"),
        ("two%20words.png", "images/two words.png"),
        (unicodedata.normalize("NFD", "müll.png"), "images/müll.png"),
        ("a.png", None),
        ("", None),
    ],
)
def test_an_image_is_found_by_its_name_wherever_the_path_began(tmp_path, written, found) -> None:
    shelf = images(
        tmp_path,
        "images/a.jpg",
        "images/two words.png",
        "images/müll.png",
        ".git/a.jpg",
        "SegmentationClass/a.png",
        "a.txt",
    )
    assert shelf.find(written) == found


def test_folders_decide_between_images_of_one_name(tmp_path) -> None:
    shelf = images(tmp_path, "train2017/a.jpg", "val2017/a.jpg", "one/x/b.jpg", "two/x/b.jpg", "c.jpg", "C.jpg")
    assert shelf.find("val2017/a.jpg") == "val2017/a.jpg"
    assert shelf.find("a.jpg", "annotations/instances_val2017.json", "val") == "val2017/a.jpg"
    assert shelf.find("a.jpg", "train2017/_annotations.coco.json") == "train2017/a.jpg"
    assert shelf.find("x/b.jpg", "two/labels.json") == "two/x/b.jpg"
    assert (shelf.find("c.jpg"), shelf.find("C.jpg")) == ("c.jpg", "C.jpg")
    with pytest.raises(InputError, match=r"set\.zip: a\.json names 'a.jpg', which may be train2017/a.jpg or val2017/a"):
        shelf.find("a.jpg", "a.json")


@pytest.mark.parametrize(
    ("paths", "ids"),
    [
        (["images/a.jpg", "images/b.png"], ["a", "b"]),
        (["x/images/train/a.jpg", "x/images/val/b.png"], ["a", "b"]),
        (["train/images/day/a.jpg", "valid/images/night/a.jpg"], ["day/a", "night/a"]),
        (["train/a.jpg", "val/a.jpg"], ["train/a", "val/a"]),
        (["a.jpg", "a.png"], ["a.jpg", "a.png"]),
        (["any/where/a.jpg"], ["a"]),
        ([], []),
    ],
)
def test_ids_are_short_if_they_are_unique(tmp_path, paths, ids) -> None:
    assert images(tmp_path, *paths, "a.txt").ids(paths) == dict(zip(paths, ids, strict=True))


def test_the_innermost_folder_tells_the_split() -> None:
    assert [split_of(path) for path in ("valid/images/a.jpg", "train/test2017/a.jpg", "train.jpg", "my/a.jpg")] == [
        "val",
        "test",
        None,
        None,
    ]
    assert by_folder([("b", "train/b.jpg"), ("a", "train/a.jpg"), ("c", "testing/c.jpg")]) == {
        "test": ["c"],
        "train": ["a", "b"],
    }
    assert by_folder([("a", "train/a.jpg"), ("b", "b.jpg")]) == {}
