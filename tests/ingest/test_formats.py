import pytest

from src.errors import InputError
from src.files.prepared import DataSet
from src.ingest import formats
from src.ingest.archives import open_archive
from src.ingest.own_splits import OwnSplit
from tests.ingest import boxed_sets
from tests.ingest.boxed_sets import WITH_SPLITS, WITHOUT_SPLITS, drawn, expected, splits
from tests.ingest.test_archives import FORMS, write_zip
from tests.ingest.test_own_splits import SPLIT


def load(path, files, form: str = "set.zip", **options: object) -> tuple[DataSet, str]:
    """Load the set of these files, in a form of `FORMS`."""
    archive = open_archive(FORMS[form](path / form, files))
    defaults = {"classes": None, "other_classes": "drop", "limit": None, "jobs": 1, "format": "auto"}
    return formats.load([archive], **{**defaults, "split": OwnSplit.model_validate(SPLIT), **options})  # type: ignore[arg-type]


@pytest.mark.parametrize("layout", WITH_SPLITS)
def test_every_layout_gives_the_same_set(tmp_path, layout) -> None:
    images = drawn()
    data, note = load(tmp_path, WITH_SPLITS[layout](images))
    assert {"classes": data.classes, "images": data.images} == expected(images)
    assert {name: sorted(ids) for name, ids in data.splits.items()} == splits(images)
    assert dict(data.contents) == {f"images/{image.stem}.png": image.content for image in images}
    assert note.lower().startswith(layout[:4].strip())


@pytest.mark.parametrize("layout", WITHOUT_SPLITS)
def test_every_layout_without_splits_gives_the_same_set(tmp_path, layout) -> None:
    images = drawn(20)
    data, note = load(tmp_path, WITHOUT_SPLITS[layout](images))
    assert {"classes": data.classes, "images": data.images} == expected(images)
    assert {name: len(ids) for name, ids in data.splits.items()} == {"train": 13, "val": 3, "test": 4, "trainval": 16}
    assert "val and test made by data.voc.split (rule fraction, seed 0)" in note
    (tmp_path / "voc").mkdir()
    assert data.splits == load(tmp_path / "voc", WITHOUT_SPLITS["voc of labelImg"](images))[0].splits


@pytest.mark.parametrize("layout", ["voc", "coco", "yolo"])
@pytest.mark.parametrize("kept", [("train",), ("train", "val")])
def test_missing_splits_are_made_or_the_flag_is_named(tmp_path, layout, kept) -> None:
    images = [image for image in drawn(60) if image.split in kept]
    files = WITH_SPLITS[layout](images)
    empty = [name for name in files if any(word in name for word in {"train", "val", "test"} - set(kept))]
    for name in empty:
        del files[name]
    data, note = load(tmp_path, files)
    if kept == ("train",):
        assert set(data.splits) == {"train", "val", "test", "trainval"}
    else:
        assert set(data.splits) == {"train", "val", "trainval"}
        assert "no test (-S data.voc.split.rule=fraction" in note
        data, note = load(tmp_path, files, split=OwnSplit.model_validate({**SPLIT, "rule": "fraction"}))
        assert len(data.splits["test"]) == 4
    parts = [set(data.splits[name]) for name in ("train", "val", "test")]
    assert len(set.union(*parts)) == sum(map(len, parts)) == len(images)


def test_the_limit_and_the_classes_reach_every_format(tmp_path) -> None:
    for name in ("voc", "coco", "yolo"):
        (tmp_path / name).mkdir()
        data, _ = load(tmp_path / name, WITH_SPLITS[name](drawn(24)), limit=2, classes=["box"])
        assert {split: len(ids) for split, ids in data.splits.items()} == {
            "train": 2,
            "val": 2,
            "test": 2,
            "trainval": 4,
        }
        assert data.classes == ["box"]


def test_the_first_format_is_taken_and_another_can_be_forced(tmp_path) -> None:
    images = drawn()
    fewer = [image._replace(objects=image.objects[:1]) for image in images]
    files = {**boxed_sets.label_studio_voc(images), **boxed_sets.label_studio_yolo(fewer)}
    assert load(tmp_path, files)[0].images == expected(images)["images"]
    assert load(tmp_path, files)[1].startswith("VOC: 9 annotations, no lists")
    forced, note = load(tmp_path, files, format="yolo")
    assert note.startswith("YOLO: 9 images")
    assert forced.images == expected(fewer)["images"]
    with pytest.raises(InputError, match=r"set\.zip has no JSON of COCO: .*data\.voc\.format to auto"):
        load(tmp_path, files, format="coco")


def test_a_set_in_no_format_names_the_three(tmp_path) -> None:
    with pytest.raises(InputError, match=r"set\.zip has no Annotations.*VOC, no JSON of COCO, no labels of YOLO"):
        load(tmp_path, {"a.png": drawn(1)[0].content, "a.txt": b"a cat"})


def test_the_users_file_is_named_and_not_our_copy(tmp_path) -> None:
    write_zip(tmp_path / "local.zip", {"a.json": b'{"images": [], "annotations": [{}], "categories": []}'})
    archive = open_archive(tmp_path / "local.zip", "/data/mine.zip")
    with pytest.raises(InputError, match=r"^/data/mine\.zip: a\.json: annotations\[0\]"):
        formats._found([archive], "auto")
