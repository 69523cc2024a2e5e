import numpy as np
import pytest

from src.errors import InputError
from src.ingest import formats
from src.ingest.archives import open_archive
from src.ingest.problems import ProblemsError
from tests.ingest.boxed_sets import drawn, expected, folders_yolo, of, roboflow_yolo
from tests.ingest.test_formats import load


def one(label: str = "0 0.5 0.5 0.5 0.25", **changes: bytes) -> dict[str, bytes]:
    files = {"classes.txt": b"ball\nbox\n", "images/train/im0.png": drawn(1)[0].content}
    return {**files, "labels/train/im0.txt": label.encode(), **changes}


def read(tmp_path, files: dict[str, bytes]):
    return load(tmp_path, files, split=None)


@pytest.mark.parametrize(
    ("label", "boxes"),
    [
        ("0 0.5 0.5 0.5 0.25", [[16, 12, 48, 20]]),
        ("  1  0.5 0.5 1 1\r\n\r\n0 0.25 0.25 0.5 0.5\n", [[0, 0, 64, 32], [0, 0, 32, 16]]),
        ("0 0.25 0.5 0.75 0.75 0.5 0.25 0.5 0.25", [[16, 8, 48, 24]]),
        ("1 0.25 0.25 0.75 0.25 0.75 0.75 0.25 0.75", [[16, 8, 48, 24]]),
        ("0 0.5 0.5 1.0000001 1", [[0, 0, 64, 32]]),
        ("0.0 0.5 0.5 1 1", [[0, 0, 64, 32]]),
    ],
)
def test_boxes_and_polygons(tmp_path, label, boxes) -> None:
    data, _ = read(tmp_path, one(label))
    assert data.images["im0"]["boxes"] == boxes
    assert data.splits == {"train": ["im0"], "trainval": ["im0"]}


def test_six_numbers_are_a_triangle_if_another_label_of_the_set_has_more_corners(tmp_path) -> None:
    files = one("0 0.25 0.5 0.75 0.75 0.5 0.25")
    with pytest.raises(InputError, match=r"line 1 is '0 0\.25 .*', which may be a triangle or a box with two more"):
        read(tmp_path, files)
    more = {"images/train/im1.png": drawn(2)[1].content, "labels/train/im1.txt": b"0 0 0 1 0 1 1 0 1"}
    data, _ = read(tmp_path, {**files, **more})
    assert [entry["boxes"] for entry in data.images.values()] == [[[16, 8, 48, 24]], [[0, 0, 32, 64]]]


def test_keypoints_are_no_polygon_if_the_settings_say_so(tmp_path) -> None:
    settings = b"names: {0: ball, 1: box}\nkpt_shape: [1, 2]\n"
    data, _ = read(tmp_path, one("0 0.5 0.5 0.5 0.25 0.9 0.9", **{"data.yaml": settings}))
    assert data.images["im0"]["boxes"] == [[16, 12, 48, 20]]


def test_an_image_without_a_label_file_has_no_objects(tmp_path) -> None:
    images = drawn(24)
    data, note = load(tmp_path, folders_yolo(images))
    assert data.images == expected(images)["images"]
    assert not data.images["im4"]["boxes"]
    assert note.startswith("YOLO: 24 images, 18 label files, names in data.yaml, splits of data.yaml\n")
    assert note.endswith("\n6 images have no object")


def test_a_split_of_the_settings_that_the_export_lacks_is_no_split(tmp_path) -> None:
    images = [image for image in drawn() if image.split != "test"]
    data, note = load(tmp_path, roboflow_yolo(images))
    assert sorted(data.splits) == ["train", "trainval", "val"]
    assert "no test (-S data.voc.split.rule=fraction" in note


def test_labels_without_an_image_are_counted(tmp_path) -> None:
    assert "; 1 text files in labels/ belong to no image" in read(tmp_path, one(**{"labels/train/b.txt": b""}))[1]


def test_lists_may_name_windows_paths_and_images_twice(tmp_path) -> None:
    images = drawn(4)
    files = {"classes.txt": b"ball\nbox\ncup", **{f"images/{image.stem}.png": image.content for image in images}}
    labels = {f"labels/{image.stem}.txt": b"0 0.5 0.5 1 1" for image in images}
    lists = {"train.txt": b"C:\\x\\im0.png\r\nim1.png\r\nim0.png\r\n", "valid.txt": b"im2.png"}
    data, note = read(tmp_path, {**files, **labels, **lists})
    assert data.splits == {"train": ["im0", "im1"], "val": ["im2"], "trainval": ["im0", "im1", "im2"]}
    assert len(data.images) == len(of(images, "train") + of(images, "val")) == 3
    assert note.startswith(
        "YOLO: 3 images, 3 label files, names in classes.txt, splits of train.txt, valid.txt; 1 more images are"
    )


BAD = {
    "words": ("ball 1 2 3 4", r"labels/train/im0\.txt, line 1 is 'ball 1 2 3 4' and must hold five numbers"),
    "six numbers": (
        "\n0 0.5 0.5 1 1 0.9",
        r"im0\.txt, line 2 is .* must hold five numbers .* or a class and a polygon",
    ),
    "confidence and track": (
        "0 0.5 0.5 1 1\n0 0.5 0.5 0.2 0.2 0.9 0.3",
        r"line 2 is .* a confidence and a track: remove",
    ),
    "few numbers": ("0 0.5 0.5", "must hold five numbers"),
    "NaN": ("0 nan 0.5 1 1", "must hold five numbers"),
    "unknown class": ("2 0.5 0.5 1 1", r"line 1 has the class 2, and .*classes\.txt names the classes 0 to 1: correct"),
    "pixels": ("0 20 10 9 9", r"line 1 is in pixels: write shares of the image's width and height"),
    "outside": ("0 1 0.5 0.5 0.5", r"the box of 'ball' \(x1 48, y1 8, x2 80, y2 24 in pixels\) lies outside its image"),
    "no area": ("0 0.5 0.5 0 0.5", r"has no area: correct or remove it"),
    "no objects": ("", r"no image of any split has an object"),
}


@pytest.mark.parametrize("case", BAD)
def test_a_bad_label_is_one_error_that_names_file_line_and_remedy(tmp_path, case) -> None:
    label, message = BAD[case]
    with pytest.raises(InputError, match=message) as caught:
        read(tmp_path, one(label))
    assert "set.zip" in str(caught.value)
    assert "\n" not in str(caught.value)


FILES = {
    "no names": (
        {"classes.txt": None},
        r"set\.zip has labels in YOLO's format, but no names of classes: write them to",
    ),
    "no images": ({"images/train/im0.png": None}, r"set\.zip has labels in YOLO's format, but no images"),
    "two lists of names": (
        {"labels/classes.txt": b"a"},
        r"classes\.txt and .*list different names of classes: keep one",
    ),
    "bad settings": ({"data.yaml": b"names: ["}, r"data\.yaml is not valid YAML"),
    "names is a number": ({"data.yaml": b"names: 3"}, r"data\.yaml: names is 3: write a list of names"),
    "list of missing images": (
        {"train.txt": b"a.png\nb.png"},
        r"train\.txt names the image 'a\.png' and 1 more, which",
    ),
    "bad image": ({"images/train/im0.png": b"x"}, r"images/train/im0\.png does not decode"),
    "not UTF-8": ({"labels/train/im0.txt": b"\xff"}, r"labels/train/im0\.txt is not UTF-8"),
}


@pytest.mark.parametrize("case", FILES)
def test_a_bad_file_is_one_error_that_names_it(tmp_path, case) -> None:
    changes, message = FILES[case]
    files = {name: content for name, content in {**one(), **changes}.items() if content is not None}
    with pytest.raises(InputError, match=message) as caught:
        read(tmp_path, files)
    assert "set.zip" in str(caught.value)
    assert "\n" not in str(caught.value)


def test_bad_lines_and_images_are_left_out_only_if_the_user_says_so_and_are_all_named(tmp_path) -> None:
    images = {f"images/{image.stem}.png": image.content for image in drawn(6)}
    labels = {f"labels/im{k}.txt": b"0 0.5 0.5 1 1" for k in range(5)}
    bad = {
        "labels/im1.txt": b"0 0.5 0.5 1 1\n0 9 9 9 9\n5 0.5 0.5 1 1",
        "images/im2.png": b"x",
        "labels/im3.txt": b"\xff",
    }
    lists = {"train.txt": "\n".join(f"images/im{k}.png" for k in range(8)).encode(), "classes.txt": b"ball"}
    with pytest.raises(ProblemsError) as caught:
        read(tmp_path, {**images, **labels, **bad, **lists})
    data, note = load(tmp_path, {**images, **labels, **bad, **lists}, split=None, bad="skip")
    assert data.splits == {"train": ["im0", "im4", "im5"], "trainval": ["im0", "im4", "im5"]}
    assert "6 problems, whose images are left out because data.voc.bad is skip: " in note
    for words in (
        "train.txt names the image 'images/im6.png' and 1 more, which",
        "labels/im1.txt, line 2 is in pixels",
        "labels/im1.txt, line 3 has the class 5",
        "images/im2.png does not decode",
        "labels/im3.txt is not UTF-8",
    ):
        assert words in note
        assert words in str(caught.value)
    assert len(caught.value.problems) == 6


@pytest.mark.real
def test_the_real_subset_as_yolo(shared_data, tmp_path) -> None:
    options = {"classes": None, "other_classes": "drop", "limit": None, "jobs": 1, "format": "auto", "split": None}
    data, _ = formats.load([open_archive(shared_data / "voc2007-subset.tar")], **options)  # type: ignore[arg-type]
    files = {f"data/{name}": content for name, content in data.contents}
    for image_id, entry in data.images.items():
        sides = np.tile([entry["width"], entry["height"]], 2)
        corners = np.reshape(entry["boxes"], (-1, 4)) / sides
        shares = np.hstack([(corners[:, :2] + corners[:, 2:]) / 2, corners[:, 2:] - corners[:, :2]])
        rows = [f"{k - 1} " + " ".join(f"{v:.6f}" for v in row) for k, row in zip(entry["labels"], shares, strict=True)]
        files[f"data/labels/{image_id}.txt"] = "\n".join(rows).encode()
    for name, ids in data.splits.items():
        files[f"{name}.txt"] = "\n".join(f"data/images/{image_id}.jpg" for image_id in ids).encode()
    again, _ = read(tmp_path, {**files, "obj.names": "\n".join(data.classes).encode()})
    assert again.classes == data.classes
    assert {name: sorted(ids) for name, ids in again.splits.items()} == {
        name: sorted(ids) for name, ids in data.splits.items()
    }
    for image_id, entry in data.images.items():
        found = again.images[image_id]
        assert found["labels"] == entry["labels"]
        np.testing.assert_allclose(np.reshape(found["boxes"], (-1, 4)), np.reshape(entry["boxes"], (-1, 4)), atol=1e-3)
