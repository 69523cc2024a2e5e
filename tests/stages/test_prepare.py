from pathlib import Path

import numpy as np
import pytest

from src.errors import InputError
from src.files.boxed_images import BoxedImages
from src.files.labelled_images import LabelledImages
from src.ingest.archives import store
from stages import prepare
from tests.datasets.test_gesture import MEMBERS, SECTION
from tests.files.test_room import leave
from tests.ingest.boxed_sets import WITHOUT_SPLITS, drawn
from tests.ingest.test_archives import write_folder, write_tar, write_zip
from tests.ingest.test_own_splits import SPLIT
from tests.ingest.voc.test_reader import ANNOTATION, HEIGHT, IMAGE, ROOT, WIDTH, members


@pytest.fixture(autouse=True)
def one_process(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("JOBS", "1")


def run(raw: Path, out: Path, *, splits: dict[str, str] | None = None, **changes: object) -> BoxedImages:
    section = {
        "source": "local",
        "path": "mine.tar",
        "format": "auto",
        "split": SPLIT,
        "years": [2007],
        "classes": ["car", "dog"],
        "other_classes": "drop",
        "limit": None,
        "tolerance": 2.0,
        "bad": "error",
        "sample": {"train": 1, "val": 1, "test": 1, "extra": 1},
    }
    named = {"finetune": "train", "detectors": "train", "validation": None, "train": "train", "test": "test"}
    content = {"data": {"voc": {**section, **changes}}, "splits": {**named, **(splits or {})}}
    params = prepare.Params.model_validate(content)
    prepare.run(params, dataset="voc", raw=raw, out=out)
    return BoxedImages(out)


@pytest.fixture
def raw(tmp_path: Path) -> Path:
    (tmp_path / "raw").mkdir()
    write_tar(tmp_path / "raw" / "local.tar", members())
    return tmp_path / "raw"


def test_what_is_written_can_be_read(raw, tmp_path, capsys) -> None:
    data = run(raw, tmp_path / "voc.zip")
    assert data.classes == ["car", "dog"]
    assert data.ids("trainval") == ["000001", "000002", "000003"]
    assert data.ids("test") == ["000005", "000004"]
    target = data.target("000001")
    np.testing.assert_array_equal(target["boxes"], [[4, 5, 15, 16], [0, 0, WIDTH, HEIGHT]])
    np.testing.assert_array_equal(target["labels"], [1, 2])
    assert data.target("000002")["difficult"].tolist() == [True]
    assert data.target("000003")["boxes"].shape == (0, 4)
    assert data.image("000003").shape == (*data.size("000003"), 3) == (HEIGHT, WIDTH, 3)
    assert capsys.readouterr().out == (
        "VOC: 5 annotations, lists test, train, trainval, val\n"
        "objects by class (test, train, val): car 0, 1, 1; dog 1, 1, 0\n"
        "smallest box 11 x 11 pixels (car in 000001), largest 30 x 20 pixels (dog in 000001)\n"
        "2 images have no object\n"
        "5 images (test 2, train 2, trainval 3, val 1), 4 objects (1 difficult) of 2 classes\n"
        "splits.test = 'test' has no object of car that is not difficult: the average precision of such a class is "
        "undefined, and the mean is that of the others\n"
        "fewer than 30 images, so that figures depend on chance: splits.finetune and splits.detectors and splits.train "
        "= 'train' (2); splits.test = 'test' (2)\n"
        "5 images are few to train and to measure a detector: label 50 or more\n"
    )


def test_a_class_that_only_test_images_have_is_told_before_anything_is_written(raw, tmp_path) -> None:
    with pytest.raises(InputError, match=r"has no object of person .*data\.voc\.classes to \[car, dog\]"):
        run(raw, tmp_path / "voc.zip", classes=None)
    assert not (tmp_path / "voc.zip").exists()


def test_test_images_that_train_are_refused_before_anything_is_written(raw, tmp_path) -> None:
    with pytest.raises(InputError, match=r"2 of the 2 images of splits\.test = 'train' are also in splits\.finetune"):
        run(raw, tmp_path / "voc.zip", splits={"test": "train"})
    assert not (tmp_path / "voc.zip").exists()


def test_the_parameters_reach_the_reader(raw, tmp_path) -> None:
    teach = {**dict.fromkeys(("finetune", "detectors", "train"), "test"), "test": "val"}
    data = run(raw, tmp_path / "voc.zip", splits=teach, classes=["dog"], limit=1)
    assert data.classes == ["dog"]
    assert data.ids("train", "val", "test") == ["000003", "000002", "000005"]
    with pytest.raises(InputError, match="'car'"):
        run(raw, tmp_path / "voc.zip", classes=["dog"], other_classes="error")


@pytest.mark.parametrize("backwards", [False, True])
def test_several_archives_are_joined_in_the_order_of_their_names(raw, tmp_path, monkeypatch, backwards) -> None:
    later = {
        name.replace("VOC2007", "VOC2012").replace("00000", "2008_00000"): content + b"\n"  # no copies of the images
        for name, content in members().items()
        if "ImageSets" not in name
    }
    write_tar(raw / "z.tar", {**later, "VOCdevkit/VOC2012/ImageSets/Main/val.txt": b"2008_000004"})
    order = sorted(raw.iterdir(), reverse=backwards)
    monkeypatch.setattr(Path, "iterdir", lambda _: iter(order))
    assert run(raw, tmp_path / "voc.zip").ids("val") == ["000002", "2008_000004"]


def test_the_same_content_makes_the_same_bytes(raw, tmp_path) -> None:
    (tmp_path / "other").mkdir()
    write_zip(tmp_path / "other" / "local.zip", dict(reversed(members().items())))
    run(raw, tmp_path / "first.zip")
    run(raw, tmp_path / "again.zip")
    run(tmp_path / "other", tmp_path / "other.zip")
    assert (tmp_path / "first.zip").read_bytes() == (tmp_path / "again.zip").read_bytes()
    assert (tmp_path / "first.zip").read_bytes() == (tmp_path / "other.zip").read_bytes()


@pytest.mark.parametrize(
    "content", [{IMAGE: b"no image"}, {ANNOTATION: b"<"}, {f"{ROOT}/../x": b""}, {f"{ROOT}/x": None}]
)
def test_a_failure_leaves_the_earlier_output_and_the_raw_archive(raw, tmp_path, content) -> None:
    out = tmp_path / "prepared" / "voc.zip"
    run(raw, out)
    before = out.read_bytes()
    bad = {name: value for name, value in {**members(), **content}.items() if value is not None}
    archive = write_tar(raw / "local.tar", bad)
    if None in content.values():
        archive.write_bytes(archive.read_bytes()[:-12_000])
    content_before = archive.read_bytes()
    with pytest.raises(InputError, match=r"mine\.tar"):
        run(raw, out)
    assert out.read_bytes() == before
    assert archive.read_bytes() == content_before
    assert [path.name for path in out.parent.iterdir()] == ["voc.zip"]


def test_many_problems_are_written_to_a_table(raw, tmp_path, monkeypatch) -> None:
    monkeypatch.chdir(tmp_path)
    write_tar(raw / "local.tar", {name: b"" if name.endswith(".jpg") else text for name, text in members().items()})
    with pytest.raises(InputError, match=r"000005\.jpg does not .*; all 5 problems are in reports/problems\.csv$"):
        run(raw, tmp_path / "voc.zip")
    assert len((tmp_path / "reports" / "problems.csv").read_text().splitlines()) == 6
    assert not (tmp_path / "voc.zip").exists()


def test_problems_whose_images_are_left_out_are_written_to_a_table_too(raw, tmp_path, monkeypatch, capsys) -> None:
    monkeypatch.chdir(tmp_path)
    bad = {f"{ROOT}/JPEGImages/00000{k}.jpg": b"x" * k for k in (2, 3)}
    write_tar(raw / "local.tar", {**members(), **bad})
    assert run(raw, tmp_path / "voc.zip", bad="skip", classes=["dog"]).ids("trainval") == ["000001"]
    assert "\nall 2 problems are in reports/problems.csv\n" in capsys.readouterr().out
    assert len((tmp_path / "reports" / "problems.csv").read_text().splitlines()) == 3


def test_the_splits_of_the_sample_fit_a_set_without_extra_images(raw, tmp_path, capsys) -> None:
    splits = {"finetune": "train_extra", "detectors": "train_extra"}
    data = run(raw, tmp_path / "voc.zip", splits=splits)
    assert data.ids("train_extra") == data.ids("train")
    note = "splits.finetune and splits.detectors = 'train_extra': the data have no extra images, so it is train"
    assert note in capsys.readouterr().out


def test_a_labelled_set_is_written_whatever_splits_rcnn_uses(tmp_path, capsys) -> None:
    (tmp_path / "raw").mkdir()
    write_tar(tmp_path / "raw" / "local.tar", MEMBERS)
    splits = {
        "finetune": "none such",
        "detectors": "none such",
        "validation": None,
        "train": "trainval",
        "test": "test",
    }
    params = prepare.Params.model_validate({"data": {"gesture": SECTION}, "splits": splits})
    prepare.run(params, dataset="gesture", raw=tmp_path / "raw", out=tmp_path / "gesture.zip")
    assert capsys.readouterr().out == "30 images (train 10, val 10, test 10) of 2 classes\n"
    assert LabelledImages(tmp_path / "gesture.zip").classes == ["fist", "ok"]
    write_tar(tmp_path / "raw" / "local.tar", {"fist/a.png": b"", "ok/a.png": b""})
    with pytest.raises(InputError, match="does not match the file name"):
        prepare.run(params, dataset="gesture", raw=tmp_path / "raw", out=tmp_path / "gesture.zip")
    assert len(LabelledImages(tmp_path / "gesture.zip").ids("train", "val", "test")) == 30


@pytest.mark.real
def test_the_real_subset(shared_data, tmp_path, capsys) -> None:
    (tmp_path / "raw").mkdir()
    (tmp_path / "raw" / "local.tar").symlink_to(shared_data / "voc2007-subset.tar")
    data = run(tmp_path / "raw", tmp_path / "voc.zip", classes=None)
    assert "460 images (test 190, train 160, trainval 270, val 110), 1418 objects" in capsys.readouterr().out
    assert data.num_classes == 21
    assert data.image(data.ids("test")[0]).dtype == np.uint8


def test_split_that_the_data_lack_shows_here_and_not_hours_later(raw, tmp_path) -> None:
    with pytest.raises(InputError, match=r"splits\.test = 'none such': the data have no such images, only test"):
        run(raw, tmp_path / "voc.zip", splits={"test": "none such"})


@pytest.mark.parametrize("layout", ["coco of Label Studio", "yolo of labelImg", "voc of labelImg"])
def test_an_export_of_a_tool_goes_from_the_users_folder_to_the_prepared_set(tmp_path, capsys, layout) -> None:
    write_folder(tmp_path / "mine", WITHOUT_SPLITS[layout](drawn(20)))
    (tmp_path / "raw").mkdir()
    store(tmp_path / "mine", tmp_path / "raw", "local")
    data = run(tmp_path / "raw", tmp_path / "voc.zip", path=str(tmp_path / "mine"), classes=None)
    assert {name: len(ids) for name, ids in data.splits.items()} == {"train": 13, "val": 3, "test": 4, "trainval": 16}
    told = capsys.readouterr().out
    assert "val and test made by data.voc.split (rule fraction, seed 0)\nobjects by class (train, val, test): b" in told
    assert "\n5 images have no object\n20 images (" in told


def test_a_set_that_does_not_fit_is_refused_before_an_image_is_read(raw, tmp_path, monkeypatch) -> None:
    size = (raw / "local.tar").stat().st_size
    leave(monkeypatch, size - 1)
    monkeypatch.setattr(prepare.plugins.load("datasets", "voc"), "prepare", lambda *_: pytest.fail("images were read"))
    with pytest.raises(InputError, match=r"needs .* for the images of .*raw and has .* free: make room"):
        run(raw, tmp_path / "voc.zip")
    monkeypatch.undo()
    leave(monkeypatch, size)
    monkeypatch.setenv("JOBS", "1")
    run(raw, tmp_path / "voc.zip")
    assert (tmp_path / "voc.zip").stat().st_size <= size
