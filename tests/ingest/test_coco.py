import json

import pytest

from src.errors import InputError
from src.ingest.problems import ProblemsError
from src.ingest.split_checks import check_splits
from src.splits import Splits
from tests.ingest.boxed_sets import coco_json, drawn, labelimg_yolo, of, plain_coco, simple_coco
from tests.ingest.test_formats import load

IMAGE = {"id": 1, "file_name": "im0.png", "width": 64, "height": 32}
OBJECT = {"image_id": 1, "category_id": 5, "bbox": [1, 2, 3, 4.5]}
CLASS = {"id": 5, "name": "ball"}


def one(**changes: object) -> dict[str, bytes]:
    """Make a set of one file and one image; a part that is None is left out."""
    content = {"images": [IMAGE], "annotations": [OBJECT], "categories": [CLASS], **changes}
    kept = {name: part for name, part in content.items() if part is not None}
    return {"train.json": json.dumps(kept).encode(), "images/im0.png": drawn(1)[0].content}


def read(tmp_path, files: dict[str, bytes]):
    return load(tmp_path, files, split=None)


def test_crowds_are_difficult_and_ids_may_be_text(tmp_path) -> None:
    crowd = {**OBJECT, "image_id": "1", "iscrowd": 1, "segmentation": {"counts": [1], "size": [32, 64]}}
    data, _ = read(tmp_path, one(annotations=[OBJECT, crowd]))
    assert data.images["im0"]["boxes"] == [[1, 2, 4, 6.5]] * 2
    assert data.images["im0"]["difficult"] == [False, True]
    assert data.splits == {"train": ["im0"], "trainval": ["im0"]}


def test_the_size_may_be_missing_and_a_box_may_be_a_pixel_outside(tmp_path) -> None:
    image = {"id": 1, "file_name": "im0.png", "width": 0}
    data, _ = read(tmp_path, one(images=[image], annotations=[{**OBJECT, "bbox": [-1, 0, 66, 33]}]))
    assert data.images["im0"]["boxes"] == [[0, 0, 64, 32]]


def test_numbers_of_libraries_for_tables_are_read(tmp_path) -> None:
    """Those write whole numbers as floats, and missing ones as null."""
    found = {**OBJECT, "image_id": 1.0, "category_id": 5.0, "iscrowd": None}
    data, _ = read(tmp_path, one(annotations=[found]))
    assert data.images["im0"]["boxes"] == [[1, 2, 4, 6.5]]
    assert data.images["im0"]["difficult"] == [False]


def test_boxes_without_area_are_left_out_and_counted_once_per_image(tmp_path) -> None:
    files = one(annotations=[OBJECT, {**OBJECT, "bbox": [1, 2, 0, 4]}, {**OBJECT, "bbox": [9, 9, 0, 0]}])
    data, note = read(tmp_path, {**files, "val.json": files["train.json"]})
    assert data.images["im0"]["boxes"] == [[1, 2, 4, 6.5]]
    assert note.startswith("COCO: 2 files (train.json, val.json), 1 images; 2 boxes without width or height are")


def test_classes_without_objects_are_left_out(tmp_path) -> None:
    data, _ = read(tmp_path, one(categories=[{"id": 0, "name": "balls", "supercategory": "none"}, CLASS]))
    assert data.classes == ["ball"]


BAD = {
    "no JSON": ({"train.json": b"{"}, r"set\.zip: train\.json is not valid JSON .*correct or replace it"),
    "another is no JSON": ({"val.json": b"{"}, r"set\.zip: val\.json is not valid JSON"),
    "not UTF-8": ({"train.json": b"\xff{}"}, r"train\.json is not UTF-8"),
    "no box": (one(annotations=[{"image_id": 1, "category_id": 5}]), r"train\.json: annotations\[0\]\.bbox: Field req"),
    "short box": (one(annotations=[{**OBJECT, "bbox": [1, 2, 3]}]), r"annotations\[0\]\.bbox\[3\]: Field required"),
    "NaN": (one(annotations=[{**OBJECT, "bbox": [1, 2, 3, float("nan")]}]), r"annotations\[0\]\.bbox\[3\].*finite"),
    "no categories": (one(categories=None), r"train\.json: categories: Field required"),
    "no file name": (one(images=[{"id": 1}]), r"images\[0\]\.file_name: Field required"),
    "other category": (
        one(annotations=[{**OBJECT, "category_id": 6}]),
        r"annotations\[0\] names category 6, which the",
    ),
    "other image": (one(annotations=[{**OBJECT, "image_id": 6}]), r"annotations\[0\] names image 6, which the file"),
    "no area": (
        one(annotations=[{**OBJECT, "bbox": [1, 2, -1, 4]}]),
        r"im0\.png: the box of 'ball' \(bbox 1, 2, -1, 4\) has",
    ),
    "image id twice": (
        one(images=[IMAGE, {"id": "1", "file_name": "b.png"}]),
        r"train\.json: several images have the id 1: give each",
    ),
    "category id twice": (
        one(categories=[CLASS, {"id": 5.0, "name": "box"}, {"id": 6, "name": "a"}, {"id": 6, "name": "b"}]),
        r"train\.json: several categories have the id 5 \(and 1 more ids\): give each",
    ),
    "image id null": (one(images=[{**IMAGE, "id": None}]), r"train\.json: images\[0\]\.id: .*an id is null"),
    "object without image": (one(annotations=[{**OBJECT, "image_id": None}]), r"annotations\[0\]\.image_id: .*null"),
    "outside": (
        one(annotations=[{**OBJECT, "bbox": [60, 2, 9, 4]}]),
        r"\(bbox 60, 2, 9, 4\) lies outside its image of 64",
    ),
    "turned": (
        one(images=[{**IMAGE, "width": 32, "height": 64}]),
        r"im0\.png: its size gives \(height, width\) = \(64, 32",
    ),
    "no objects": (one(annotations=[]), "no image of any split has an object"),
    "image missing": (
        one(images=[{**IMAGE, "file_name": "b.png"}]),
        r"train\.json names the image 'b\.png', which .*set\.zip does not have \(1 images\): add the images",
    ),
    "no image decodes": ({"images/im0.png": b"no image"}, r"images/im0\.png does not decode"),
    "split and none": ({"all.json": one()["train.json"]}, r"all\.json tells no split, and other files do \(train\)"),
    "objects differ": (
        {"val.json": one(annotations=[])["train.json"]},
        r"different objects for images/im0\.png: remove",
    ),
}


@pytest.mark.parametrize("case", BAD)
def test_bad_input_is_one_error_that_names_file_and_remedy(tmp_path, case) -> None:
    changes, message = BAD[case]
    with pytest.raises(InputError, match=message) as caught:
        read(tmp_path, {**one(), **changes})
    assert "set.zip" in str(caught.value)
    assert "\n" not in str(caught.value)


def test_bad_entries_and_images_are_left_out_only_if_the_user_says_so_and_are_all_named(tmp_path) -> None:
    files = {f"images/im{k}.png": image.content for k, image in enumerate(drawn(7))}
    content = {
        "images": [{"id": k, "file_name": f"im{k}.png"} for k in range(8)]
        + [{"id": 8}, {"id": 9, "file_name": "b.png"}],
        "annotations": [{**OBJECT, "image_id": k} for k in range(9)]
        + [{**OBJECT, "image_id": 1, "bbox": [1, 2, "a", None]}, {**OBJECT, "image_id": 2, "category_id": 4}]
        + [
            {**OBJECT, "image_id": 3, "bbox": [1, 2, 900, 1]},
            {**OBJECT, "image_id": 11},
            {"id": 5, "bbox": [1, 2, 3, 4]},
        ],
        "categories": [CLASS],
    }
    files |= {"images/im4.png": b"no image", "train.json": json.dumps(content).encode()}
    with pytest.raises(ProblemsError) as caught:
        read(tmp_path, files)
    data, note = load(tmp_path, files, split=None, bad="skip")
    assert data.splits == {"train": ["im0", "im5", "im6"], "trainval": ["im0", "im5", "im6"]}
    assert all(entry["boxes"] == [[1, 2, 4, 6.5]] for entry in data.images.values())
    assert "9 problems, whose images are left out because data.voc.bad is skip: " in note
    for words in (
        "images[8].file_name: Field required",
        "annotations[9].bbox[2]: Input should be a valid number",
        "annotations[10] names category 4, which the file lacks",
        "annotations[12] names image 11, which the file lacks",
        "annotations[13].image_id: Field required",
        "train.json names the image 'im7.png' and 1 more, which",
        "im3.png: the box of 'ball' (bbox 1, 2, 900, 1) lies outside",
        "images/im4.png does not decode",
    ):
        assert words in note
        assert words in str(caught.value)
    assert len(caught.value.problems) == 9


def test_many_missing_images_are_counted(tmp_path) -> None:
    images = drawn(6)
    with pytest.raises(InputError, match=r"names the image 'im0\.png' and 5 more, which .* \(1 images\)"):
        load(tmp_path, {"a.json": coco_json(images), "images/x.png": images[0].content})


def test_the_line_counts_files_and_images_that_no_file_names(tmp_path) -> None:
    images = drawn()
    files = {name: content for name, content in plain_coco(images).items() if "instances_test" not in name}
    assert load(tmp_path, files)[1].startswith(
        "COCO: 2 files (instances_train2017.json, instances_val2017.json), 6 images (3 more images are in no file); "
        "no test"
    )


def test_an_image_in_two_files_is_one_image_in_two_splits(tmp_path) -> None:
    images = drawn(24)
    files = {**simple_coco(images), "test.json": coco_json([*of(images, "val"), *of(images, "test")])}
    data, _ = load(tmp_path, files)
    assert set(data.splits["val"]) < set(data.splits["test"])
    assert len(data.images) == 24
    splits = {"finetune": "trainval", "detectors": "train", "validation": None, "train": "train", "test": "test"}
    with pytest.raises(
        InputError, match=r"8 of the 16 images of splits\.test = 'test' are also in splits\.finetune = "
    ):
        check_splits(Splits.model_validate(splits), data)


def test_folders_of_images_tell_the_splits_of_one_file(tmp_path) -> None:
    images = drawn()
    names = {image.stem: f"{image.split}/{image.stem}.png" for image in images}
    files = {"set.json": coco_json(images, names), **{names[image.stem]: image.content for image in images}}
    data, _ = load(tmp_path, files)
    assert sorted(data.splits["val"]) == ["val/im1", "val/im4", "val/im7"]


def test_json_of_something_else_does_not_matter_beside_labels_of_yolo(tmp_path) -> None:
    files = {**labelimg_yolo(drawn(20)), "settings.json": b"{ // no JSON", "package.json": b"[]"}
    assert load(tmp_path, files)[1].startswith("YOLO: 20 images")
    with pytest.raises(InputError, match=r"settings\.json is not valid JSON"):
        load(tmp_path, {"settings.json": b"{", "README.txt": b"", "README.md": b"", "a.png": drawn(1)[0].content})
