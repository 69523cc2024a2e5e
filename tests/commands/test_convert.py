import json
from pathlib import Path

import pytest
from faster_coco_eval import COCO

from commands import convert
from src.errors import InputError
from src.files.prepared import DataSet
from src.ingest import formats
from src.ingest.archives import open_archive
from tests.datasets.test_gesture import MEMBERS
from tests.ingest.boxed_sets import drawn, plain_coco
from tests.ingest.test_archives import write_tar, write_zip
from tests.ingest.voc.test_reader import members


def read(path: Path, form: formats.Format = "auto", classes: list[str] | None = None) -> DataSet:
    options = {"classes": classes, "other_classes": "drop", "limit": None, "jobs": 1, "split": None}
    return formats.load([open_archive(path)], format=form, **options)[0]  # type: ignore[arg-type]


@pytest.fixture
def prepared(tmp_path: Path) -> Path:
    """A set with a difficult object, an image without objects, and a split of its own."""
    extra = {"VOCdevkit/VOC2007/ImageSets/Main/train_extra.txt": b"000003\n000005\n"}
    read(write_tar(tmp_path / "set.tar", {**members(), **extra})).write(tmp_path / "voc.zip")
    return tmp_path / "voc.zip"


@pytest.mark.parametrize("form", ["coco", "voc"])
@pytest.mark.parametrize("name", ["out", "out.zip"])
def test_what_is_written_is_read_as_the_same_set(prepared, tmp_path, capsys, form, name) -> None:
    convert.run(prepared, tmp_path / name, to=form)
    assert f"{name}: 5 images (test 2, train 2, train_extra 2, trainval 3, val 1) and 3 classes as {form.upper()}" in (
        capsys.readouterr().out
    )
    read(tmp_path / name, form).write(tmp_path / "again.zip")
    assert (tmp_path / "again.zip").read_bytes() == prepared.read_bytes()


@pytest.mark.parametrize("form", ["coco", "voc"])
def test_classes_in_an_order_of_the_users_own_come_back_with_the_same_parameter(tmp_path, form) -> None:
    order = ["person", "car"]
    read(write_tar(tmp_path / "set.tar", members()), classes=order).write(tmp_path / "first.zip")
    convert.run(tmp_path / "first.zip", tmp_path / "out", to=form)
    read(tmp_path / "out", classes=order).write(tmp_path / "again.zip")
    assert (tmp_path / "again.zip").read_bytes() == (tmp_path / "first.zip").read_bytes()
    assert read(tmp_path / "out").classes == sorted(order)


def test_from_coco_to_voc_and_back(tmp_path) -> None:
    read(write_zip(tmp_path / "set.zip", plain_coco(drawn()))).write(tmp_path / "first.zip")
    convert.run(tmp_path / "first.zip", tmp_path / "voc", to="voc")
    read(tmp_path / "voc").write(tmp_path / "second.zip")
    convert.run(tmp_path / "second.zip", tmp_path / "coco", to="coco")
    read(tmp_path / "coco").write(tmp_path / "third.zip")
    assert (tmp_path / "first.zip").read_bytes() == (tmp_path / "second.zip").read_bytes()
    assert (tmp_path / "first.zip").read_bytes() == (tmp_path / "third.zip").read_bytes()


def test_a_library_of_others_reads_the_coco_files(prepared, tmp_path) -> None:
    convert.run(prepared, tmp_path / "out", to="coco")
    data = COCO(str(tmp_path / "out" / "annotations" / "instances_trainval.json"))
    (image,) = (item for item in data.dataset["images"] if item["file_name"] == "000001.jpg")
    boxes = [item["bbox"] for item in data.loadAnns(data.getAnnIds(imgIds=[image["id"]]))]
    assert boxes == [[4, 5, 11, 11], [0, 0, 30, 20]]


def test_what_cannot_be_converted_is_refused(prepared, tmp_path) -> None:
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "file").touch()
    with pytest.raises(InputError, match="full exists already"):
        convert.run(prepared, tmp_path / "full", to="voc")
    with pytest.raises(InputError, match=r"none\.zip is no prepared set"):
        convert.run(tmp_path / "none.zip", tmp_path / "out", to="voc")
    with pytest.raises(InputError, match=r"mine\.zip is no prepared set"):
        convert.run(write_zip(tmp_path / "mine.zip", MEMBERS), tmp_path / "out", to="voc")
    index = {"classes": ["a"], "splits": {}, "images": {"a": {"file": "images/a.png", "label": 0}}}
    with pytest.raises(InputError, match=r"labelled\.zip has labels and no boxes"):
        convert.run(
            write_zip(tmp_path / "labelled.zip", {"index.json": json.dumps(index).encode()}), tmp_path / "out", to="voc"
        )


@pytest.mark.real
@pytest.mark.parametrize("form", ["coco", "voc"])
def test_the_real_subset_comes_back_as_the_same_bytes(shared_data, tmp_path, form) -> None:
    read(shared_data / "voc2007-subset.tar").write(tmp_path / "voc.zip")
    convert.run(tmp_path / "voc.zip", tmp_path / "out.zip", to=form)
    read(tmp_path / "out.zip", form).write(tmp_path / "again.zip")
    assert (tmp_path / "again.zip").read_bytes() == (tmp_path / "voc.zip").read_bytes()
