"""Sets as tools and people write them, which are not in the layout of VOC's organisers."""

import io
import re
import unicodedata

import cv2
import numpy as np
import pytest
from PIL import Image

from src.errors import InputError
from src.ingest import formats
from src.ingest.archives import open_archive
from src.ingest.own_splits import OwnSplit
from src.ingest.problems import ProblemsError
from src.ingest.voc.annotations import parse_annotation
from tests.ingest.boxed_sets import coco_json, drawn, labelimg_yolo
from tests.ingest.test_archives import write_zip
from tests.ingest.test_own_splits import SPLIT
from tests.ingest.voc.test_reader import HEIGHT, WIDTH, jpeg, thing, xml

LIST = "ImageSets/Main/{}.txt"


def load(path, files: dict[str, bytes], **options: object):
    """Load the set of these files, without making splits."""
    archive = open_archive(write_zip(path / "set.zip", files))
    defaults = {"classes": None, "other_classes": "drop", "limit": None, "jobs": 1, "format": "auto", "split": None}
    return formats.load([archive], **{**defaults, **options})  # type: ignore[arg-type]


def made(
    *ids: str, annotation: bytes | None = None, image: bytes | None = None, suffix: str = "jpg"
) -> dict[str, bytes]:
    """Make a set of these ids, with a list `train` of them."""
    return {
        **{f"Annotations/{image_id}.xml": annotation or xml(thing()) for image_id in ids},
        **{f"JPEGImages/{name}.{suffix}": image or jpeg(shade=90 + k) for k, name in enumerate(ids)},
        LIST.format("train"): "\n".join(ids).encode(),
    }


def test_ids_that_look_like_the_lines_of_a_class(tmp_path) -> None:
    assert load(tmp_path, made("frame 0", "frame 1"))[0].splits["train"] == ["frame 0", "frame 1"]


def test_ids_that_look_like_the_lines_of_a_class_if_one_is_missing(tmp_path) -> None:
    files = {name: content for name, content in made("photo 0", "photo 1", "photo -1").items() if "-1" not in name}
    with pytest.raises(
        InputError, match=r"ImageSets/Main/train\.txt names 'photo -1', which Annotations/ does not have"
    ):
        load(tmp_path, files)


def test_a_list_of_images_with_flags(tmp_path) -> None:
    files = {**made("a", "b"), LIST.format("train"): b"a 1\nb -1\n"}
    assert load(tmp_path, files)[0].splits["train"] == ["a", "b"]


def test_lists_of_classes_alone_are_joined(tmp_path) -> None:
    files = made("a", "b", "c")
    del files[LIST.format("train")]
    lists = {"car_train": b"a.jpg 1\nb.jpg -1\n", "dog_train": b"b.jpg 1\na.jpg -1\n", "car_val": b"c.jpg 1"}
    data, _ = load(tmp_path, {**files, **{LIST.format(name): text for name, text in lists.items()}})
    assert data.splits == {"train": ["a", "b"], "val": ["c"], "trainval": ["a", "b", "c"]}


def test_a_plain_list_hides_lists_of_classes(tmp_path) -> None:
    files = {**made("a"), LIST.format("car_val"): b"a 1\n"}
    assert set(load(tmp_path, files)[0].splits) == {"train", "trainval"}


def test_images_in_another_folder(tmp_path) -> None:
    files = {name.replace("JPEGImages", "photos/day"): content for name, content in made("a", "b").items()}
    data, _ = load(tmp_path, files)
    assert sorted(data.images) == ["a", "b"]
    del files["photos/day/b.jpg"]
    with pytest.raises(
        InputError, match=r"train\.txt names 'b', which the set does not have; it has 'a': add the file"
    ):
        load(tmp_path, files)


def test_photos_saved_as_jfif(tmp_path) -> None:
    assert list(load(tmp_path, made("a", suffix="jfif"))[0].images) == ["a"]


def test_names_in_the_two_forms_of_unicode(tmp_path) -> None:
    files = {unicodedata.normalize("NFD", name): content for name, content in made("müll").items()}
    assert list(load(tmp_path, {**files, LIST.format("train"): "müll".encode()})[0].images) == ["müll"]


def test_names_in_the_encoding_of_a_country_are_told(tmp_path) -> None:
    files = {name.encode("gbk").decode("cp437"): content for name, content in made("图0").items()}
    with pytest.raises(
        InputError,
        match=r"names '图0', which Annotations/ does not have.*: it has '═╝0', so its names are not in UTF-8",
    ):
        load(tmp_path, {**files, LIST.format("train"): "图0".encode()})
    coco = {"a.json": coco_json(drawn(1), {"im0": "图0.png"}), "═╝0.png": jpeg()}
    with pytest.raises(
        InputError, match=r"names the image '图0\.png', which .* so its names are not in UTF-8: pack it"
    ):
        load(tmp_path, coco)


def test_missing_images_are_counted(tmp_path) -> None:
    files = {
        name: content for name, content in made("a", "b", "c").items() if "b.jpg" not in name and "c.jpg" not in name
    }
    with pytest.raises(
        InputError, match=r"train\.txt names 'b' and 1 more, which JPEGImages/ does not have; it has 'a'"
    ):
        load(tmp_path, files)


def test_missing_files_of_all_lists_and_folders_are_told_at_once(tmp_path) -> None:
    files = {**made("a", "b", "c"), LIST.format("val"): b"c\nd", LIST.format("trainval"): b"a\nb\nc\nd"}
    for name in ("JPEGImages/b.jpg", "JPEGImages/c.jpg"):
        del files[name]
    files[LIST.format("train")] = b"a\nb"
    with pytest.raises(ProblemsError) as caught:
        load(tmp_path, files)
    found = re.findall(r"(\w+)\.txt names '(\w)'( and 1 more)?, which (\w+)", str(caught.value))
    assert found == [
        ("train", "b", "", "JPEGImages"),
        ("trainval", "d", "", "Annotations"),
        ("trainval", "c", " and 1 more", "JPEGImages"),
    ]
    assert len(caught.value.problems) == 4


def test_annotations_without_images_are_an_error_if_there_are_no_lists(tmp_path) -> None:
    with pytest.raises(InputError, match=r"set\.zip: b\.xml and 1 more annotations have no image of the same name"):
        load(tmp_path, {"a.xml": xml(thing()), "a.jpg": jpeg(), "b.xml": xml(), "c.xml": xml()})


def test_xml_of_something_else_is_no_annotation(tmp_path) -> None:
    files = {"train/a.xml": xml(thing()), "train/a.jpg": jpeg(), "pom.xml": b"<project/>", ".idea/x.xml": xml()}
    data, note = load(tmp_path, files)
    assert data.splits == {"train": ["a"], "trainval": ["a"]}
    assert note.startswith("VOC: 1 annotations, splits by folder\n")


def test_an_encoding_that_is_declared_is_read() -> None:
    text = f'<?xml version="1.0" encoding="gb2312"?>\n{xml(thing("安全帽")).decode()}'
    assert parse_annotation(text.encode("gb2312"), "a.xml").objects[0].name == "安全帽"
    with pytest.raises(InputError, match=r"a\.xml is not valid XML"):
        parse_annotation(text.replace("gb2312", "gb0").encode(), "a.xml")
    with pytest.raises(InputError, match=r"a\.xml is not valid XML"):
        parse_annotation(text.encode("utf-8"), "a.xml")


@pytest.mark.parametrize("head", [b"", b'<?xml version="1.0" encoding="utf-8"?>'])
def test_an_encoding_that_is_not_declared_is_told_with_the_remedy(head: bytes) -> None:
    content = head + xml(thing("安全帽")).decode().encode("gbk")
    with pytest.raises(InputError, match=r"a\.xml has letters that are not in UTF-8, .*: save it as UTF-8$"):
        parse_annotation(content, "a.xml")


def test_a_box_may_reach_over_the_border_by_the_tolerance(tmp_path) -> None:
    files = made("a", annotation=xml(thing(box=(1, 1, WIDTH + 3, HEIGHT))))
    data, note = load(tmp_path, files, tolerance=3.0)
    assert data.images["a"]["boxes"] == [[0, 0, WIDTH, HEIGHT]]
    assert "1 boxes reached up to 3 pixels over the border and were cut" in note
    for tolerance in (2.0, 0.0):
        with pytest.raises(InputError, match="lies outside its image"):
            load(tmp_path, files, tolerance=tolerance)


def test_bad_files_are_left_out_only_if_the_user_says_so_and_are_named_and_counted(tmp_path) -> None:
    files = {**made("a", "b", "c", "d"), "JPEGImages/b.jpg": b"", "Annotations/c.xml": b"<annotation>"}
    files[LIST.format("test")] = b"a\nc\n"
    del files["JPEGImages/d.jpg"]
    with pytest.raises(ProblemsError):
        load(tmp_path, files)
    data, note = load(tmp_path, files, bad="skip")
    assert data.splits == {"test": ["a"], "train": ["a"], "trainval": ["a"]}
    assert list(data.images) == ["a"]
    assert "3 problems, whose images are left out because data.voc.bad is skip: " in note
    assert "names 'd', which JPEGImages/ does not have" in note
    assert "JPEGImages/b.jpg does not decode" in note
    assert "Annotations/c.xml is not valid XML" in note


def test_all_objects_with_an_error_are_named_at_once(tmp_path) -> None:
    wrong = xml(thing(box=(1, 1, "a", 9)), thing("cup"), "<object><name>box</name></object>")
    with pytest.raises(ProblemsError) as caught:
        load(tmp_path, made("a", annotation=wrong))
    assert len(caught.value.problems) == 2
    with pytest.raises(ProblemsError, match=r"'car' .* lies outside .*'cup' .* has no area"):
        load(tmp_path, made("a", annotation=xml(thing(box=(1, 1, 99, 99)), thing("cup", (9, 9, 3, 3)))))


def test_tags_in_capitals() -> None:
    found = parse_annotation(xml(thing(extra="<Difficult>1</Difficult>").replace("name>", "Name>")), "a.xml").objects[0]
    assert found.difficult


def noted(tmp_path, **changes: bytes) -> str:
    return load(tmp_path, made("a", "b", **changes))[1]  # type: ignore[arg-type]


def test_the_user_is_told_what_may_be_unexpected(tmp_path) -> None:
    assert noted(tmp_path) == (
        "VOC: 2 annotations, lists train\nobjects by class (train): car 2\n"
        "smallest box 11 x 11 pixels (car in a), largest 11 x 11 pixels (car in a)"
    )
    assert "\n2 boxes reached up to 2 pixels over the border and were cut" in noted(
        tmp_path, annotation=xml(thing(box=(-1, 1, 9, 9)))
    )
    assert "\nthe classes Big box and bigbox differ in capitals or blanks alone" in noted(
        tmp_path, annotation=xml(thing("bigbox"), thing("Big box"), thing("car"))
    )
    faint = cv2.imencode(".png", np.full((HEIGHT, WIDTH), 4095, np.uint16))[1].tobytes()
    assert "\n2 images are nearly black" in noted(tmp_path, image=faint)
    assert "\n2 images have a rotation in EXIF, which is ignored" in noted(tmp_path, image=turned(3))
    assert "EXIF" not in noted(tmp_path, image=turned(1))
    broken = turned(3).replace(b"Exif\x00\x00MM", b"Exif\x00\x00XX").replace(b"Exif\x00\x00II", b"Exif\x00\x00XX")
    assert "EXIF" not in noted(tmp_path, image=broken)


def turned(orientation: int) -> bytes:
    """Encode a photo whose EXIF asks the viewer to turn it."""
    exif = Image.Exif()
    exif[0x0112] = orientation
    buffer = io.BytesIO()
    Image.new("RGB", (WIDTH, HEIGHT), (99, 99, 99)).save(buffer, "JPEG", exif=exif)
    return buffer.getvalue()


def test_images_without_annotation_are_in_no_split_that_is_made_and_are_counted(tmp_path) -> None:
    ids = [str(k) for k in range(9)]
    files = {**made(*ids), LIST.format("first"): b"0\n1", LIST.format("second"): b"2", "JPEGImages/x.jpg": jpeg()}
    del files[LIST.format("train")]
    for seed in range(9):
        split = OwnSplit.model_validate({**SPLIT, "rule": "fraction", "seed": seed})
        data, note = load(tmp_path, files, split=split)
        assert sorted(data.images) == ids
    assert note.startswith("VOC: 9 annotations, lists first, second (1 images without an annotation are left out)")


def test_a_missing_image_names_the_list_of_the_set_and_not_the_split_made_from_it(tmp_path) -> None:
    files = {**made("a", "b", "c", "d"), LIST.format("default"): b"a\nb\nc\nd\ne"}
    del files[LIST.format("train")]
    with pytest.raises(InputError, match=r"ImageSets/Main/default\.txt names 'e', which Annotations/ does not have"):
        load(tmp_path, files, split=OwnSplit.model_validate({**SPLIT, "fraction": {"val": 0.3, "test": 0.3}}))


@pytest.mark.parametrize("name", ["annotations.xml", "annotations/annotations.xml"])
def test_the_annotations_of_cvats_own_format_hide_no_other_format(tmp_path, name) -> None:
    split = OwnSplit.model_validate(SPLIT)
    cvat = b'<?xml version="1.0"?>\n<annotations>\n<version>1.1</version></annotations>'
    images = drawn(20)
    assert load(tmp_path, {**labelimg_yolo(images), name: cvat}, split=split)[1].startswith("YOLO: 20 images")
    files = {"annotations/instances_default.json": coco_json(images), **{f"{i.stem}.png": i.content for i in images}}
    assert load(tmp_path, {**files, name: cvat}, split=split)[1].startswith("COCO: 1 file")


def test_what_the_limit_leaves_out_may_be_missing(tmp_path) -> None:
    files = {name: content for name, content in made("a", "b").items() if "b.jpg" not in name}
    assert load(tmp_path, files, limit=1)[0].splits["train"] == ["a"]


@pytest.mark.parametrize("folders", [("Annotations/", "JPEGImages/"), ("Annotations/", "images/"), ("", "")])
def test_without_lists_an_image_without_annotation_is_left_out_and_counted(tmp_path, folders) -> None:
    above, beside = folders
    annotated = {f"{above}{k}.xml": xml(thing()) for k in range(8)}
    split = OwnSplit.model_validate(SPLIT)
    data, note = load(
        tmp_path, {**annotated, **{f"{beside}{k}.jpg": jpeg(shade=90 + k) for k in range(10)}}, split=split
    )
    assert len(data.images) == 8
    assert note.startswith(
        "VOC: 8 annotations, no lists (2 images without an annotation are left out); val and test made"
    )
