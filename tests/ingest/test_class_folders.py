import pickle
import random
from pathlib import Path

import cv2
import numpy as np
import pytest
from torchvision.datasets import ImageFolder

from src.errors import InputError
from src.files.labelled_images import LabelledImages
from src.ingest import class_folders
from src.ingest.archives import open_archive, store
from src.ingest.class_folders import ClassFolders, checked, read
from tests.ingest.test_archives import write_folder, write_tar, write_zip


def image(tone: int, suffix: str = ".png") -> bytes:
    return cv2.imencode(suffix, np.full((4, 6, 3), tone, np.uint8))[1].tobytes()


MEMBERS = {
    "fist/a.png": image(1),
    "fist/deep/er/b.JPG": image(2, ".jpg"),
    "ok/a.png": image(3),  # the same name as in another class
    "ok/c.webp": image(4, ".webp"),
    "ok/d.ppm": image(5, ".ppm"),
}
FORMS = {"folder": write_folder, "set.tar": write_tar, "set.zip": write_zip}


SEGMENTED = {f"s/seg_{part}/seg_{part}/{name}/a.png": b"" for part in ("train", "test") for name in ("cat", "dog")}
SEGMENTED["s/seg_pred/seg_pred/a.png"] = b""


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("above", ["", "gesture14/", "my set/version 2/"])
def test_folders_are_classes_whatever_lies_above_them(tmp_path: Path, form: str, above: str) -> None:
    members = {f"{above}{name}": content for name, content in MEMBERS.items()}
    folders = read(open_archive(FORMS[form](tmp_path / form, {**members, f"{above}LICENCE.txt": b"", "list.csv": b""})))
    assert folders.classes == ["fist", "ok"]
    assert folders.labels == {"fist/a.png": 0, "fist/deep/er/b.JPG": 0, "ok/a.png": 1, "ok/c.webp": 1, "ok/d.ppm": 1}
    assert {image_id: f"{above}{image_id}" for image_id in folders.labels} == folders.members


def test_the_order_of_the_members_does_not_matter(tmp_path: Path) -> None:
    shuffled = list(MEMBERS.items())
    random.Random(0).shuffle(shuffled)
    first, second = (
        read(open_archive(write_tar(tmp_path / f"{number}.tar", dict(content))))
        for number, content in enumerate((MEMBERS.items(), shuffled))
    )
    assert list(first.labels.items()) == list(second.labels.items())


def test_classes_and_labels_are_those_of_torchvisions_image_folder(tmp_path: Path) -> None:
    folder = write_folder(tmp_path / "set", {**MEMBERS, "Zebra/z.bmp": image(9, ".bmp"), "ok/notes.txt": b"no image"})
    oracle, folders = ImageFolder(str(folder)), read(open_archive(folder))
    assert folders.classes == oracle.classes
    assert folders.labels == {str(Path(path).relative_to(folder)): label for path, label in oracle.samples}


@pytest.mark.parametrize(
    ("members", "message"),
    [
        ({"fist/readme.txt": b""}, "has no image in a folder: give at least two folders"),
        (
            {"set/fist/a.png": b"", "set/fist/b.png": b""},
            "has images in only one folder, 'fist': give at least two folders of images",
        ),
        (
            {"set/fist/a.png": b"", "set/ok/a.png": b"", "set/b.png": b""},
            "has images in only one folder, 'set': give at least two folders",
        ),
        ({"a.png": b"", "b.png": b""}, "has no image in a folder"),
        ({"fist/a.png": b"", "ok/a.png": b"", "b.png": b""}, r"b\.png is in no class folder: move it into one"),
        ({"s/train/fist/a.png": b"", "s/val/fist/b.png": b""}, "has the folders train, val above the class folders"),
        (SEGMENTED, "has the folders seg_pred, seg_test, seg_train above the class folders"),
    ],
)
def test_another_layout_is_one_error_that_names_the_remedy(tmp_path: Path, members, message) -> None:
    with pytest.raises(InputError, match=message) as caught:
        read(open_archive(write_zip(tmp_path / "mine.zip", members)))
    assert "mine.zip" in str(caught.value)
    assert "\n" not in str(caught.value)


def test_folders_of_persons_below_each_class_are_no_splits(tmp_path: Path) -> None:
    members = {f"{name}/p{person}/a.png": b"" for name in ("training", "fist") for person in range(2)}
    assert read(open_archive(write_zip(tmp_path / "mine.zip", members))).classes == ["fist", "training"]


def test_files_and_folders_that_are_passed_over_are_told(tmp_path: Path) -> None:
    assert read(open_archive(write_zip(tmp_path / "mine.zip", MEMBERS))).notes == []
    others = {"fox/a.heic": b"", "owl/a.GIF": b"", "owl/b.gif": b"", "fist/readme": b"", ".git/config": b""}
    folders = read(open_archive(write_zip(tmp_path / "other.zip", {**MEMBERS, **others})))
    passed, silent = folders.notes
    assert passed.startswith("4 files were passed over (2 .gif, 1 .heic, 1 without suffix), because only .bmp, ")
    assert silent == "no class, because they have no image that is read: fox, owl"
    assert folders.classes == ["fist", "ok"]


def made(path: Path, members: dict[str, bytes], **splits: list[str]) -> LabelledImages:
    archive = open_archive(write_tar(path / "set.tar", members))
    folders = read(archive)
    checked(archive, folders, splits or {"train": sorted(folders.labels)}, 1).write(path / "set.zip")
    return LabelledImages(path / "set.zip")


def test_images_are_stored_as_they_are_and_files_of_one_name_in_two_classes_stay_two(tmp_path: Path) -> None:
    data = made(tmp_path, MEMBERS, train=["fist/a.png", "ok/a.png"], val=["ok/c.webp"])
    assert data.splits == {"train": ["fist/a.png", "ok/a.png"], "val": ["ok/c.webp"]}
    assert [int(data.image(image_id)[0, 0, 0]) for image_id in data.ids("train")] == [1, 3]
    assert [data.label(image_id) for image_id in data.ids("train", "val")] == [0, 1, 1]
    assert data.image("ok/a.png").shape == (4, 6, 3)


BAD = {"ok/a.png": b"no image", "ok/d.ppm": b"", "fist/deep/er/b.JPG": image(2, ".jpg")[:-40]}


def test_all_images_that_do_not_decode_are_named(tmp_path: Path) -> None:
    with pytest.raises(
        InputError,
        match=r"set\.tar: fist/deep/er/b\.JPG does not decode.*; .*a\.png does not decode.*; .*d\.ppm does not",
    ):
        made(tmp_path, {**MEMBERS, **BAD})
    with pytest.raises(
        InputError, match=r"ok/a\.png does not decode as an image of at most .* pixels: replace or remove it$"
    ):
        made(tmp_path, {**MEMBERS, "ok/a.png": b"no image"})


def test_what_no_split_names_is_not_looked_at(tmp_path: Path) -> None:
    assert len(made(tmp_path, {**MEMBERS, **BAD}, train=["fist/a.png"], val=["ok/c.webp"]).ids("train", "val")) == 2


def test_the_work_can_be_sent_to_other_processes_where_it_is_worth_while(tmp_path: Path, monkeypatch) -> None:
    asked = []

    def send(function, items, jobs, label):
        asked.append(jobs)
        return [pickle.loads(pickle.dumps(function(pickle.loads(pickle.dumps(item))))) for item in items]

    monkeypatch.setattr(class_folders, "parallel_map", send)
    archive = open_archive(write_tar(tmp_path / "set.tar", MEMBERS))
    folders = read(archive)
    for least in (1000, 1):
        monkeypatch.setattr(class_folders, "IMAGES_PER_JOB", least)
        checked(archive, folders, {"train": sorted(folders.labels)}, 2)
    assert asked == [1, 2]


@pytest.mark.real
def test_the_real_hands(shared_data: Path, tmp_path: Path) -> None:
    archive = open_archive(store(shared_data / "gesture14.zip", tmp_path, "local"))
    folders: ClassFolders = read(archive)
    assert len(folders.classes) == 14
    assert folders.classes[0] == "000-one"
    assert folders.classes[-1] == "013-pink"
    assert len(folders.labels) == 770
    assert np.bincount(list(folders.labels.values())).tolist() == [55] * 14
    assert len(checked(archive, folders, {"train": sorted(folders.labels)}, 1).images) == 770
