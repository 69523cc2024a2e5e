import tarfile
from pathlib import Path
from xml.etree import ElementTree

import cv2
import numpy as np
import pytest
import torch

from src.boxes.overlap import iou
from src.ingest.drawn import scenes as module
from src.ingest.drawn.clutter import CLUTTER
from src.ingest.drawn.scenes import Object, Patch, scene
from src.ingest.drawn.shapes import SHAPES, Shape
from src.ingest.drawn.voc import CLASSES, ROOT, SPLITS, annotation, draw, flag
from src.proposals.selective_search import propose

SIZES = {"train": 6, "val": 2, "test": 3, "extra": 2}
DEFAULT = {"train": 120, "val": 30, "test": 60, "extra": 40}  # as in params.yaml, but with fewer of the last


def read(path: Path) -> dict[str, bytes]:
    with tarfile.open(path) as archive:
        members = archive.getmembers()
        assert [member.name for member in members] == sorted(member.name for member in members)
        assert {(member.mtime, member.uid, member.uname) for member in members} == {(0, 0, "")}
        return {m.name.removeprefix(f"{ROOT}/"): archive.extractfile(m).read() for m in members}


@pytest.fixture(scope="module")
def drawn(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("sample") / "sample.tar"
    draw(path, SIZES, 0)
    return path


@pytest.fixture(scope="module")
def scenes() -> list[tuple[np.ndarray, list[Object]]]:
    return [scene(0, index) for index in range(1, sum(DEFAULT.values()) + 1)]


def test_the_layout_is_that_of_voc_2007(drawn: Path) -> None:
    files = read(drawn)
    ids = [f"{index:06d}" for index in range(1, 14)]
    splits = {"train": ids[:6], "val": ids[6:8], "trainval": ids[:8], "test": ids[8:11], "extra": ids[11:]}
    splits["train_extra"] = splits["train"] + splits["extra"]
    wanted = {f"JPEGImages/{i}.jpg" for i in ids} | {f"Annotations/{i}.xml" for i in ids}
    for split, members in splits.items():
        wanted |= {f"ImageSets/Main/{stem}.txt" for stem in (split, *(f"{name}_{split}" for name in CLASSES))}
        assert files[f"ImageSets/Main/{split}.txt"].decode().split() == members
    assert set(files) == wanted


def test_annotations_agree_with_images_and_class_lists(drawn: Path) -> None:
    files = read(drawn)
    for name in CLASSES:
        for line in files[f"ImageSets/Main/{name}_trainval.txt"].decode().splitlines():
            image_id, written = line[:6], int(line[7:])
            assert line == f"{image_id} {written:2d}"  # "-1", " 0", " 1"
            root = ElementTree.fromstring(files[f"Annotations/{image_id}.xml"])
            image = cv2.imdecode(np.frombuffer(files[f"JPEGImages/{image_id}.jpg"], np.uint8), cv2.IMREAD_COLOR)
            assert image.shape == tuple(int(root.findtext(f"size/{k}", "")) for k in ("height", "width", "depth"))
            assert root.findtext("filename") == f"{image_id}.jpg"
            difficult = [item.findtext("difficult") for item in root.iter("object") if item.findtext("name") == name]
            assert written == (-1 if not difficult else 1 if "0" in difficult else 0)


def test_the_jpeg_shows_the_scene_in_its_colours(drawn: Path) -> None:
    content = read(drawn)["JPEGImages/000002.jpg"]
    image = cv2.imdecode(np.frombuffer(content, np.uint8), cv2.IMREAD_COLOR_RGB)
    assert np.abs(image.astype(int) - scene(0, 2)[0]).mean() < 6


def test_boxes_are_written_one_based_with_both_ends_inside() -> None:
    item = Object("car", (0, 10, 20, 30), "Left", True, False)  # the first 20 columns, rows 10 to 29
    (box,) = ElementTree.fromstring(annotation("000001", (40, 50), [item])).iter("bndbox")
    assert [(field.tag, field.text) for field in box] == [("xmin", "1"), ("ymin", "11"), ("xmax", "20"), ("ymax", "30")]


def test_flags_tell_present_difficult_and_absent_apart() -> None:
    clear = Object("car", (0, 0, 9, 9), "Left", False, False)
    hard = clear._replace(difficult=True)
    assert [flag(objects, "car") for objects in ([], [hard], [hard, clear])] == [-1, 0, 1]
    assert flag([clear], "boat") == -1


def test_the_same_seed_gives_the_same_bytes_and_another_seed_others(drawn: Path, tmp_path: Path) -> None:
    draw(tmp_path / "again.tar", SIZES, 0, jobs=2)
    assert (tmp_path / "again.tar").read_bytes() == drawn.read_bytes()
    draw(tmp_path / "other.tar", SIZES, 1)
    assert read(tmp_path / "other.tar")["JPEGImages/000001.jpg"] != read(drawn)["JPEGImages/000001.jpg"]
    assert [file.name for file in sorted(tmp_path.iterdir())] == ["again.tar", "other.tar"]  # no temporary file


def test_an_image_does_not_depend_on_how_many_are_drawn(drawn: Path, tmp_path: Path) -> None:
    draw(tmp_path / "fewer.tar", {"train": 2, "val": 1, "test": 1, "extra": 1}, 0)
    files, fewer = read(drawn), read(tmp_path / "fewer.tar")
    for index in range(1, 5):
        for name in (f"JPEGImages/{index:06d}.jpg", f"Annotations/{index:06d}.xml"):
            assert fewer[name] == files[name]


def test_every_split_holds_every_class_and_the_hard_cases(scenes: list[tuple[np.ndarray, list[Object]]]) -> None:
    start = 0
    for split in SPLITS:
        members = [objects for _, objects in scenes[start : start + DEFAULT[split]]]
        start += DEFAULT[split]
        counts = [
            sum(item.name == name and not item.difficult for objects in members for item in objects) for name in CLASSES
        ]
        assert min(counts) >= 0.3 * len(members)
    everything = [item for _, objects in scenes for item in objects]
    assert 4 <= sum(not objects for _, objects in scenes) <= 30
    assert 0.05 < np.mean([item.difficult for item in everything]) < 0.3
    assert 0.05 < np.mean([item.truncated for item in everything]) < 0.5
    assert {image.shape[0] > image.shape[1] for image, _ in scenes} == {True, False}


def test_boxes_lie_inside_their_images_and_are_of_many_sizes(scenes: list[tuple[np.ndarray, list[Object]]]) -> None:
    sides = []
    for image, objects in scenes:
        assert 160 <= min(image.shape[:2]) <= max(image.shape[:2]) <= 260
        for item in objects:
            x1, y1, x2, y2 = item.box
            assert 0 <= x1 < x2 <= image.shape[1]
            assert 0 <= y1 < y2 <= image.shape[0]
            assert item.difficult or min(x2 - x1, y2 - y1) >= module.SMALL
            sides.append(max(x2 - x1, y2 - y1))
    assert min(sides) < 45
    assert max(sides) > 150


def test_the_box_is_the_extent_of_what_is_visible() -> None:
    visible = np.zeros((80, 100), bool)  # an image of 40 x 50
    visible[20:61, 10:70] = True  # the last row covers half of its pixels, so they count
    visible[62, 30] = True  # a quarter of a pixel, which does not count
    whole = Patch(np.zeros((60, 60, 3), np.uint8), np.ones((60, 60), bool))
    item = module._object("car", visible, whole, mirror=True)
    assert item == Object("car", (5, 10, 35, 31), "Left", True, False)  # 41 of 60 rows: truncated, not difficult
    assert module._object("car", visible & (np.arange(100) < 44), whole, mirror=True).difficult  # 39 % are visible


def test_what_is_seen_whole_is_neither_truncated_nor_difficult_unless_it_is_small() -> None:
    for side, difficult in ((32, False), (30, True)):  # 16 and 15 pixels of the image
        visible = np.zeros((80, 100), bool)
        visible[10 : 10 + side, 20:60] = True
        whole = Patch(np.zeros((side, 40, 3), np.uint8), np.ones((side, 40), bool))
        item = module._object("tree", visible, whole, mirror=True)
        assert item == Object("tree", (10, 5, 30, 5 + side // 2), "Unspecified", False, difficult)


def test_what_stands_behind_is_covered_and_what_is_hidden_is_left_out() -> None:
    canvas = module.Canvas(np.zeros((60, 60, 3), np.uint8), np.zeros((60, 60), bool), np.zeros((60, 60), np.uint8))
    canvas.taken[:, 30:] = True
    patch = Patch(np.full((40, 60, 3), 9, np.uint8), np.ones((40, 60), bool))
    found = module._place(np.random.default_rng(0), canvas, patch, 50)
    assert found is not None
    assert not found[:, 30:].any()
    np.testing.assert_array_equal(canvas.pixels[:, :, 0] == 9, found)
    canvas.taken[:] = True
    assert module._place(np.random.default_rng(0), canvas, patch, 50) is None


@pytest.mark.parametrize("shape", [*SHAPES.values(), *CLUTTER])
def test_shapes_stand_on_the_ground_and_vary(shape: Shape) -> None:
    first, second = shape(np.random.default_rng(0)), shape(np.random.default_rng(1))
    assert len(first) >= 2
    for parts in (first, second):
        points = np.concatenate([part.points for part in parts])
        assert -0.1 < points[:, 1].max() < 0.1
        assert all(0 <= channel <= 255 for part in parts for channel in part.colour)
    assert [part.colour for part in first] != [part.colour for part in second]


def test_selective_search_finds_the_objects(scenes: list[tuple[np.ndarray, list[Object]]]) -> None:
    found, counts = [], []
    for index, (image, objects) in enumerate(scenes[:9]):
        gt_boxes = torch.tensor([item.box for item in objects if not item.difficult]).reshape(-1, 4).float()
        proposals = torch.from_numpy(propose(image, min_side=12, image_id=str(index)))
        found += (iou(gt_boxes, proposals).amax(dim=1) >= 0.5).tolist()
        counts.append(len(proposals))
    assert len(found) >= 9
    assert np.mean(found) >= 0.85
    assert 150 <= np.mean(counts) <= 800
