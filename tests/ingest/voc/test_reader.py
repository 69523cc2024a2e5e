import pickle
import random
from collections.abc import Mapping, Sequence
from pathlib import Path

import cv2
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from src.errors import InputError
from src.files.prepared import DataSet
from src.ingest import boxed, formats
from src.ingest.archives import Archive, open_archive, store
from src.ingest.boxed import BORDER, Object, inside
from src.ingest.problems import ProblemsError
from src.ingest.voc import reader as voc
from src.ingest.voc.annotations import parse_annotation, read_class_list, written
from tests.ingest.test_archives import write_folder, write_tar

WIDTH, HEIGHT = 30, 20
ROOT = "VOCdevkit/VOC2007"


def jpeg(width: int = WIDTH, height: int = HEIGHT, shade: int = 99) -> bytes:
    return cv2.imencode(".jpg", np.full((height, width, 3), shade, np.uint8))[1].tobytes()


def xml(*objects: str, size: str = f"<size><width>{WIDTH}</width><height>{HEIGHT}</height></size>") -> bytes:
    return f"<annotation>{size}{''.join(objects)}</annotation>".encode()


def thing(name: str = "car", box: Sequence[object] = (5, 6, 15, 16), extra: str = "<difficult>0</difficult>") -> str:
    edges = "".join(f"<{key}>{value}</{key}>" for key, value in zip(["xmin", "ymin", "xmax", "ymax"], box, strict=True))
    return f"<object><name>{name}</name>{extra}<bndbox>{edges}</bndbox></object>"


def members(root: str = ROOT) -> dict[str, bytes]:
    """Make five images: one with two classes, one with a difficult object, one without objects, two for testing."""
    annotations = {
        "000001": xml(thing("car"), thing("dog", (1, 1, WIDTH, HEIGHT))),
        "000002": xml(thing("car", extra="<difficult>1</difficult>")),
        "000003": xml(),
        "000004": xml(thing("person")),
        "000005": xml(thing("dog")),
    }
    lists = {
        "train": "000003\n000001\n",
        "val": "000002\n",
        "trainval": "000001\n000002\n000003\n",
        "test": "000005\n000004\n",
        "car_train": "000001  1\n000003 -1\n",
        "car_test": "",
    }
    return {
        **{f"{root}/Annotations/{image_id}.xml": content for image_id, content in annotations.items()},
        **{f"{root}/JPEGImages/{image_id}.jpg": jpeg(shade=90 + int(image_id)) for image_id in annotations},
        **{f"{root}/ImageSets/Main/{name}.txt": text.encode() for name, text in lists.items()},
    }


def load(path: Path, content: Mapping[str, bytes | None], **options: object) -> DataSet:
    """Load a set with the members of `content`; a member that is None is left out."""
    write_tar(path / "set.tar", {name: value for name, value in content.items() if value is not None})
    return opened([open_archive(path / "set.tar")], **options)


def opened(archives: list[Archive], **options: object) -> DataSet:
    defaults = {"classes": None, "other_classes": "drop", "limit": None, "jobs": 1, "format": "auto", "split": None}
    return formats.load(archives, **{**defaults, **options})[0]  # type: ignore[arg-type]


def test_what_is_read_from_a_set(tmp_path) -> None:
    classes, splits, images, contents = load(tmp_path, members())
    assert classes == ["car", "dog", "person"]
    assert splits == {
        "train": ["000003", "000001"],
        "val": ["000002"],
        "trainval": ["000001", "000002", "000003"],
        "test": ["000005", "000004"],
    }
    assert images["000001"] == {
        "file": "images/000001.jpg",
        "height": HEIGHT,
        "width": WIDTH,
        "boxes": [[4.0, 5.0, 15.0, 16.0], [0.0, 0.0, WIDTH, HEIGHT]],
        "labels": [1, 2],
        "difficult": [False, False],
    }
    assert images["000002"]["difficult"] == [True]
    assert images["000003"]["boxes"] == images["000003"]["labels"] == images["000003"]["difficult"] == []
    assert list(contents) == [(f"images/00000{k}.jpg", jpeg(shade=90 + k)) for k in range(1, 6)]


def test_the_order_of_the_members_does_not_matter(tmp_path) -> None:
    shuffled = list(members().items())
    random.Random(0).shuffle(shuffled)
    (tmp_path / "shuffled").mkdir()
    first, second = load(tmp_path, members()), load(tmp_path / "shuffled", dict(shuffled))
    assert first[:3] == second[:3]
    assert list(first.contents) == list(second.contents)


def test_the_work_can_be_sent_to_other_processes_where_it_is_worth_while(tmp_path, monkeypatch) -> None:
    expected = load(tmp_path, members(), jobs=2)[:3]
    asked = []

    def send(function, items, jobs, label):
        asked.append(jobs)
        return [pickle.loads(pickle.dumps(function(pickle.loads(pickle.dumps(item))))) for item in items]

    monkeypatch.setattr(boxed, "parallel_map", send)
    assert load(tmp_path, members(), jobs=2)[:3] == expected
    monkeypatch.setattr(boxed, "IMAGES_PER_JOB", 1)
    load(tmp_path, members(), jobs=2)
    assert asked == [1, 2]


@pytest.mark.parametrize("root", ["", "my cars/version 2"])
def test_folders_of_any_name_above(tmp_path, root) -> None:
    content = {name.lstrip("/"): value for name, value in members(root).items()}
    assert load(tmp_path, content)[:3] == load(tmp_path, members())[:3]


def test_ids_in_subfolders_other_formats_and_windows_text(tmp_path) -> None:
    png = cv2.imencode(".png", np.zeros((HEIGHT, WIDTH), np.uint8))[1].tobytes()
    content = {
        "JPEGImages/day/a.b.PNG": png,
        "Annotations/day/a.b.xml": xml(thing()),
        "ImageSets/Main/train.txt": b"\xef\xbb\xbfday/a.b\r\n\r\n",
    }
    data = load(tmp_path, content)
    assert data.splits == {"train": ["day/a.b"], "trainval": ["day/a.b"]}
    assert list(data.contents) == [("images/day/a.b.PNG", png)]


def test_years_are_joined(tmp_path) -> None:
    later = {
        "VOCdevkit/VOC2012/Annotations/2008_000008.xml": xml(thing("cat")),
        "VOCdevkit/VOC2012/JPEGImages/2008_000008.jpg": jpeg(),
        "VOCdevkit/VOC2012/ImageSets/Main/train.txt": b"2008_000008\n",
        "VOCdevkit/VOC2012/ImageSets/Main/trainval.txt": b"2008_000008\n",
    }
    archives = [
        open_archive(write_tar(tmp_path / "2007.tar", members())),
        open_archive(write_tar(tmp_path / "2012.tar", later)),
    ]
    data = opened(archives)
    assert data.splits["train"] == ["000003", "000001", "2008_000008"]
    assert data.splits["trainval"] == ["000001", "000002", "000003", "2008_000008"]
    assert data.splits["test"] == ["000005", "000004"]
    assert data.classes == ["car", "cat", "dog", "person"]


def test_trainval_is_both_where_there_is_no_such_list(tmp_path) -> None:
    data = load(tmp_path, {**members(), f"{ROOT}/ImageSets/Main/trainval.txt": None})
    assert data.splits["trainval"] == ["000003", "000001", "000002"]


def test_without_val_trainval_is_train(tmp_path) -> None:
    without = {f"{ROOT}/ImageSets/Main/{name}.txt": None for name in ("val", "trainval")}
    assert load(tmp_path, {**members(), **without}).splits["trainval"] == ["000003", "000001"]
    assert load(tmp_path, {**members(), **without}, limit=1).splits["trainval"] == ["000003"]


def test_limit_takes_the_first_of_each_list_and_trainval_is_their_union(tmp_path) -> None:
    data = load(tmp_path, members(), limit=1)
    assert data.splits == {"train": ["000003"], "val": ["000002"], "trainval": ["000003", "000002"], "test": ["000005"]}
    assert sorted(data.images) == ["000002", "000003", "000005"]
    assert data.classes == ["car", "dog"]


def test_limit_of_a_set_with_trainval_alone(tmp_path) -> None:
    without = {f"{ROOT}/ImageSets/Main/{name}.txt": None for name in ("train", "val")}
    assert load(tmp_path, {**members(), **without}, limit=2).splits["trainval"] == ["000001", "000002"]


def test_what_no_list_names_is_not_looked_at(tmp_path) -> None:
    load(tmp_path, {**members(), f"{ROOT}/Annotations/9.xml": b"<broken", f"{ROOT}/JPEGImages/9.jpg": b""})


def test_chosen_classes_keep_their_order_and_images_without_them(tmp_path) -> None:
    data = load(tmp_path, members(), classes=["person", "car"])
    assert data.classes == ["person", "car"]
    assert data.images["000001"]["labels"] == [2]
    assert data.images["000004"]["labels"] == [1]
    assert data.images["000005"]["boxes"] == []
    assert len(data.images) == 5


def test_other_classes_can_be_an_error_that_names_file_and_class(tmp_path) -> None:
    with pytest.raises(InputError, match=r"set\.tar: .*Annotations/000001\.xml has the class 'dog'.*other_classes"):
        load(tmp_path, members(), classes=["car", "person"], other_classes="error")
    load(tmp_path, members(), classes=["car", "dog", "person"], other_classes="error")


@pytest.mark.parametrize(("name", "hint"), [("bus", "choose from car, dog, person"), ("Car", "write it as 'car'")])
def test_a_class_that_the_data_lack_is_an_error(tmp_path, name, hint) -> None:
    with pytest.raises(InputError, match=f"data.voc.classes names '{name}'.*{hint}"):
        load(tmp_path, members(), classes=["dog", name])


ANNOTATION, IMAGE, LIST = (
    f"{ROOT}/{name}" for name in ("Annotations/000001.xml", "JPEGImages/000001.jpg", "ImageSets")
)
BAD = {
    "no XML": ({ANNOTATION: b"<annotation><object>"}, r"Annotations/000001\.xml is not valid XML.*correct or replace"),
    "empty XML": ({ANNOTATION: b""}, r"Annotations/000001\.xml is not valid XML"),
    "no number": ({ANNOTATION: xml(thing(box=("5px", 6, 7, 8)))}, r"000001\.xml: <bndbox/xmin>.*'5px'.*correct"),
    "infinite": ({ANNOTATION: xml(thing(box=(5, 6, "inf", 8)))}, r"000001\.xml: <bndbox/xmax>.*'inf'.*correct"),
    "no box": (
        {ANNOTATION: xml("<object><name>car</name></object>")},
        r"000001\.xml has an object 'car' with no <bndbox>",
    ),
    "two boxes": ({ANNOTATION: xml(thing(extra="<bndbox/>"))}, r"000001\.xml has an object 'car' with 2 <bndbox>"),
    "no name": ({ANNOTATION: xml(thing(" "))}, r"000001\.xml has an object without a <name>"),
    "outside": (
        {ANNOTATION: xml(thing(box=(5, 6, WIDTH + 3, 8)))},
        r"000001\.xml: the box of 'car' .*outside its image",
    ),
    "no width": ({ANNOTATION: xml(thing(box=(9, 6, 8, 8)))}, r"000001\.xml: the box of 'car' .*no area: correct"),
    "no height": ({ANNOTATION: xml(thing(box=(5, 9, 6, 8)))}, r"000001\.xml: the box of 'car' .*no area: correct"),
    "other size": ({IMAGE: jpeg(HEIGHT, WIDTH)}, r"000001\.xml: <size> .*000001\.jpg .*EXIF.*correct the one"),
    "no image": ({IMAGE: b"<html>"}, r"JPEGImages/000001\.jpg does not decode.*replace it"),
    "empty image": ({IMAGE: b""}, r"JPEGImages/000001\.jpg does not decode"),
    "half an image": ({IMAGE: jpeg()[:-40]}, r"JPEGImages/000001\.jpg does not decode"),
    "image missing": ({IMAGE: None}, r"ImageSets/Main/train\.txt names '000001', which JPEGImages/ does not have"),
    "XML missing": ({ANNOTATION: None}, r"ImageSets/Main/train\.txt names '000001', which Annotations/ does not have"),
    "id twice": ({f"{ROOT}/JPEGImages/000001.png": b""}, r"000001\.jpg and .*000001\.png have the same image id"),
    "list in Latin-1": ({f"{LIST}/Main/val.txt": "grün".encode("latin-1")}, r"Main/val\.txt is not UTF-8"),
    "no lists": ({name: None for name in members() if LIST in name}, "write ImageSets"),
    "empty lists": (
        {name: b"\n" for name in members() if LIST in name},
        "one image id per line",
    ),
    "another layout": ({name: None for name in members() if "Annotations" in name}, r"set\.tar has no Annotations"),
}


@pytest.mark.parametrize("case", BAD)
def test_bad_input_is_one_error_that_names_file_and_remedy(tmp_path, case) -> None:
    changes, message = BAD[case]
    with pytest.raises(InputError, match=message) as caught:
        load(tmp_path, {**members(), **changes})
    assert "set.tar" in str(caught.value)
    assert "\n" not in str(caught.value)


def test_no_object_in_any_image_is_an_error(tmp_path) -> None:
    empty = {name: xml() for name in members() if name.endswith(".xml")}
    with pytest.raises(InputError, match=r"set\.tar: no image of any split has an object"):
        load(tmp_path, {**members(), **empty})


def test_all_bad_images_are_named_in_the_order_of_ids(tmp_path) -> None:
    bad = {f"{ROOT}/JPEGImages/00000{k}.jpg": b"no image" for k in (5, 2, 4)}
    with pytest.raises(
        ProblemsError, match=r"000002\.jpg does not.*; .*000004\.jpg does not.*000005\.jpg does"
    ) as caught:
        load(tmp_path, {**members(), **bad})
    assert len(caught.value.problems) == 3


def test_boxes_are_half_open_and_one_is_subtracted_from_the_left_and_top_alone() -> None:
    assert parse_annotation(xml(thing(box=(48, 240, 195, 371))), "a.xml").objects == [
        Object("car", (47.0, 239.0, 195.0, 371.0), False)
    ]


def test_what_annotations_may_leave_out_or_write_otherwise() -> None:
    objects = [
        thing(" car ", (1.5, 2, 3.25, 4), ""),
        thing(extra="<difficult/>"),
        thing(extra="<difficult>1</difficult>"),
    ]
    part = "<part><name>head</name><bndbox><xmin>1</xmin></bndbox></part>"
    annotation = parse_annotation(xml(*objects, thing(extra=part), size=""), "a.xml")
    assert annotation.size is None
    assert annotation.objects[0] == Object("car", (0.5, 1.0, 3.25, 4.0), False)
    assert [found.difficult for found in annotation.objects] == [False, False, True, False]
    assert parse_annotation(xml(size="<size><width>0</width><height>0</height></size>"), "a.xml").size is None
    assert parse_annotation(xml(), "a.xml") == ((HEIGHT, WIDTH), [])


@pytest.mark.parametrize(
    ("box", "expected"),
    [
        ((1, 1, WIDTH, HEIGHT), (0, 0, WIDTH, HEIGHT)),
        ((0, 0, WIDTH + 1, HEIGHT + 1), (0, 0, WIDTH, HEIGHT)),
        ((7, 7, 7, 7), (6, 6, 7, 7)),
        ((-1, 5, 9, 9), (0, 4, 9, 9)),
        ((5, -2, 9, 9), None),
        ((5, 5, WIDTH + 3, 9), None),
        ((-2, 5, 9, HEIGHT), None),
        ((WIDTH + 1, 5, WIDTH + 1, 9), None),
    ],
)
def test_two_pixels_outside_are_cut_off_and_more_is_an_error(box, expected) -> None:
    found = parse_annotation(xml(thing(box=box)), "a.xml").objects[0]
    if expected is None:
        with pytest.raises(InputError, match=r"a\.xml: the box of 'car' \(xmin .*"):
            inside(found, (HEIGHT, WIDTH), "a.xml", written)
    else:
        assert inside(found, (HEIGHT, WIDTH), "a.xml", written).box == expected


@given(st.tuples(*[st.floats(-5, 40)] * 4), st.integers(1, 40), st.integers(1, 40))
def test_a_box_that_passes_lies_inside_and_has_moved_by_two_pixels_at_most(box, height, width) -> None:
    try:
        x1, y1, x2, y2 = cut = inside(Object("car", box, False), (height, width), "a.xml", written).box
    except InputError:
        return
    assert 0 <= x1 < x2 <= width
    assert 0 <= y1 < y2 <= height
    assert np.abs(np.subtract(cut, box)).max() <= BORDER


@pytest.mark.parametrize("text", ["", "000012\n000017\n", "000012  1\n000017\n", "my photo 1\nhis photo 2\n", "a 7\n"])
def test_what_is_no_class_list(text) -> None:
    assert read_class_list(text) == []


def test_the_classes_are_the_twenty_in_order() -> None:
    assert len(set(voc.CLASSES)) == 20
    assert list(voc.CLASSES) == sorted(voc.CLASSES)


@pytest.mark.real
def test_the_official_counts_of_cars_come_out(shared_data, tmp_path) -> None:
    archive = open_archive(store(shared_data / "voc2007-annotations.tar.gz", tmp_path, "annotations"))
    for split, images in (("train", 376), ("val", 337)):
        rows = read_class_list(archive.read(f"{ROOT}/ImageSets/Main/car_{split}.txt").decode())
        ids = [image_id for image_id, flag in rows if flag == 1]
        names = [f"{ROOT}/Annotations/{image_id}.xml" for image_id in ids]
        found = [item for name in names for item in parse_annotation(archive.read(name), name).objects]
        assert len(ids) == images
        assert sum(item.name == "car" and not item.difficult for item in found) == 625


@pytest.mark.real
def test_every_official_box_lies_inside_its_image_uncut(shared_data, tmp_path) -> None:
    archive = open_archive(store(shared_data / "voc2007-annotations.tar.gz", tmp_path, "annotations"))
    names = [name for name in archive.names() if name.endswith(".xml")]
    seen = set()
    for name in names:
        size, objects = parse_annotation(archive.read(name), name)
        assert size is not None
        assert [inside(item, size, name, written) for item in objects] == objects
        seen |= {item.name for item in objects}
    assert len(names) == 9963
    assert tuple(sorted(seen)) == voc.CLASSES


@pytest.mark.real
def test_the_real_subset(shared_data) -> None:
    archive = open_archive(shared_data / "voc2007-subset.tar")
    data = opened([archive])
    assert tuple(data.classes) == voc.CLASSES
    assert {name: len(ids) for name, ids in data.splits.items()} == {
        "train": 160,
        "val": 110,
        "trainval": 270,
        "test": 190,
    }
    assert len(data.images) == 460
    assert sum(len(entry["labels"]) for entry in data.images.values()) == 1418
    cars = opened([archive], classes=["car"]).images.values()
    assert sum(not all(entry["difficult"]) for entry in cars) == 232
    assert sum(bool(entry["difficult"]) and all(entry["difficult"]) for entry in cars) == 8


@pytest.mark.real
def test_real_photos_as_a_set_of_ones_own(shared_data, tmp_path) -> None:
    archive = open_archive(shared_data / "voc2007-mini.tar")
    plain = {name.removeprefix(f"{ROOT}/"): archive.read(name) for name in archive.names() if "ImageSets" not in name}
    ids = sorted(Path(name).stem for name in plain if name.endswith(".jpg"))
    assert len(ids) == 30
    lists = {"ImageSets/Main/train.txt": "\n".join(ids[:20]), "ImageSets/Main/val.txt": "\n".join(ids[20:])}
    folder = write_folder(tmp_path / "mine", {**plain, **{name: text.encode() for name, text in lists.items()}})
    data = opened([open_archive(folder)])
    assert data.splits == {"train": ids[:20], "val": ids[20:], "trainval": ids}
    assert len(data.images) == 30
