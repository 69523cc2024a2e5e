import ctypes
import tarfile
import xml.etree.ElementTree as ElementTree
from functools import partial
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
import torch
from torchvision.ops import nms

from src.boxes.overlap import iou
from src.parallel import parallel_map
from src.proposals import selective_search
from src.proposals.selective_search import propose

each_engine = pytest.mark.parametrize("engine", ["own", "opencv"])


@pytest.fixture(scope="module")
def image() -> np.ndarray:
    """Draw coloured shapes on smooth noise, 60 x 90."""
    noise = np.random.default_rng(0).integers(0, 256, (60, 90, 3), np.uint8)
    picture = cv2.normalize(cv2.GaussianBlur(noise, (0, 0), 4), None, 0, 255, cv2.NORM_MINMAX)
    cv2.rectangle(picture, (10, 10), (30, 40), (255, 0, 0), -1)
    cv2.circle(picture, (65, 30), 15, (0, 0, 255), -1)
    return picture


def as_set(boxes: np.ndarray) -> set[tuple[float, ...]]:
    return {tuple(box) for box in boxes.tolist()}


def raw(image: np.ndarray) -> np.ndarray:
    search = cv2.ximgproc.segmentation.createSelectiveSearchSegmentation()
    search.setBaseImage(image)
    search.switchToSelectiveSearchFast()
    return search.process()


@each_engine
def test_boxes_are_float32_inside_the_image_and_no_two_are_alike(image: np.ndarray, engine: str) -> None:
    boxes = propose(image, engine=engine, min_side=1)
    assert boxes.dtype == np.float32
    assert len(as_set(boxes)) == len(boxes) > 20
    assert (boxes >= 0).all()
    assert (boxes <= [90, 60, 90, 60]).all()
    assert ((boxes[:, 2:] - boxes[:, :2]) >= 1).all()


@each_engine
def test_boxes_that_an_engine_repeats_are_returned_once(
    image: np.ndarray, monkeypatch: pytest.MonkeyPatch, engine: str
) -> None:
    once = np.array([[0, 0, 5, 5], [3, 3, 9, 9]], np.float32)
    repeated = once[[1, 0, 1, 1]]
    monkeypatch.setattr(selective_search, f"_{engine}", lambda *_: [repeated] if engine == "own" else repeated)
    np.testing.assert_array_equal(sorted(propose(image, engine=engine, min_side=1).tolist()), once)


def test_both_sides_are_at_least_the_smallest(image: np.ndarray) -> None:
    every = propose(image, min_side=1)
    sides = every[:, 2:] - every[:, :2]
    assert as_set(propose(image, min_side=20)) == as_set(every[(sides >= 20).all(axis=1)])
    assert 0 < len(propose(image, min_side=20)) < len(every)
    assert propose(image, min_side=200).shape == (0, 4)


def test_the_cap_is_a_prefix_of_the_order(image: np.ndarray) -> None:
    every = propose(image, min_side=5, image_id="a")
    np.testing.assert_array_equal(propose(image, min_side=5, image_id="a", max_proposals=7), every[:7])
    np.testing.assert_array_equal(propose(image, min_side=5, image_id="a", max_proposals=10_000), every)


@pytest.mark.parametrize("nms_thresh", [0.0, 0.5001, 0.8001])  # at exactly 4/5 OpenCV and torchvision differ
def test_near_duplicates_go_in_favour_of_the_first_in_the_order(image: np.ndarray, nms_thresh: float) -> None:
    every = torch.from_numpy(propose(image, min_side=5, image_id="a"))
    found = torch.from_numpy(propose(image, min_side=5, image_id="a", nms_thresh=nms_thresh))
    kept = nms(every, -torch.arange(len(every), dtype=torch.float32), nms_thresh)
    torch.testing.assert_close(found, every[kept])
    assert 0 < len(found) < len(every)
    capped = propose(image, min_side=5, image_id="a", nms_thresh=nms_thresh, max_proposals=3)
    np.testing.assert_array_equal(capped, found[:3])  # the cap is applied last


def test_no_near_duplicate_among_no_boxes(image: np.ndarray) -> None:
    assert propose(image, min_side=200, nms_thresh=0.8).shape == (0, 4)


def test_the_order_is_of_seed_and_image_id_alone(image: np.ndarray) -> None:
    first = propose(image, min_side=5, seed=1, image_id="a")
    assert as_set(first) == as_set(propose(image, min_side=5, seed=2, image_id="b"))
    assert not np.array_equal(first, propose(image, min_side=5, seed=2, image_id="a"))
    assert not np.array_equal(first, propose(image, min_side=5, seed=1, image_id="b"))
    assert not np.array_equal(first, np.unique(first, axis=0))  # a cap must not prefer the top left corner


def test_calls_before_have_no_influence_on_opencvs_order(image: np.ndarray) -> None:
    libc = ctypes.CDLL(None)
    libc.srand(1)
    opencv, first = raw(image), propose(image, engine="opencv", min_side=5)
    libc.srand(2)
    again, second = raw(image), propose(image, engine="opencv", min_side=5)
    assert not np.array_equal(opencv, again)  # `rand()` decides the order
    np.testing.assert_array_equal(first, second)


@each_engine
def test_the_number_of_workers_has_no_influence(image: np.ndarray, engine: str) -> None:
    images = [np.roll(image, shift, axis=1) for shift in range(0, 40, 10)]
    function = partial(propose, engine=engine, min_side=5)
    for alone, shared in zip(parallel_map(function, images, 1, ""), parallel_map(function, images, 2, ""), strict=True):
        np.testing.assert_array_equal(alone, shared)


@each_engine
def test_boxes_of_a_resized_image_are_those_of_the_search_in_it_scaled_back(image: np.ndarray, engine: str) -> None:
    small = cv2.resize(image, (45, 30), interpolation=cv2.INTER_AREA)
    large = cv2.resize(image, (180, 120), interpolation=cv2.INTER_LINEAR)
    for width, resized in ((45, small), (180, large)):
        boxes = propose(image, engine=engine, width=width, min_side=5, nms_thresh=0.8, seed=3, image_id="a")
        wanted = propose(resized, engine=engine, min_side=5, nms_thresh=0.8, seed=3, image_id="a")
        assert len(boxes) > 3
        np.testing.assert_array_equal(boxes, wanted * (90 / width))  # with `min_side` in the resized image


@each_engine
@pytest.mark.parametrize("max_proposals", [None, 7])
def test_the_images_own_width_changes_nothing(image: np.ndarray, engine: str, max_proposals: int | None) -> None:
    options = {"engine": engine, "min_side": 5, "max_proposals": max_proposals, "image_id": "a"}
    same, null = propose(image, width=90, **options), propose(image, width=None, **options)  # type: ignore[arg-type]
    assert same.dtype == null.dtype
    np.testing.assert_array_equal(same, null)


@pytest.mark.parametrize(("size", "width"), [((60, 90), 37), ((61, 97), 200), ((3, 400), 20), ((400, 3), 50)])
def test_boxes_scaled_back_lie_inside_the_image(size: tuple[int, int], width: int) -> None:
    height, own = size
    picture = np.random.default_rng(0).integers(0, 256, (*size, 3), np.uint8)
    boxes = propose(picture, width=width, min_side=1)
    assert boxes.dtype == np.float32
    assert (boxes >= 0).all()
    assert (boxes <= [own, height, own, height]).all()
    assert (boxes[:, 2:] > boxes[:, :2]).all()
    assert (boxes == [0, 0, own, height]).all(axis=1).any()  # the whole image comes back whole


def test_the_ranking_changes_the_order_and_not_the_boxes(image: np.ndarray) -> None:
    shuffled, ranked = (propose(image, min_side=5, image_id="a", ranked=ranked) for ranked in (False, True))
    assert as_set(ranked) == as_set(shuffled)
    assert len(ranked) == len(shuffled)
    assert not np.array_equal(ranked, shuffled)
    np.testing.assert_array_equal(ranked, propose(image, min_side=5, image_id="a", ranked=True))
    np.testing.assert_array_equal(
        propose(image, min_side=5, image_id="a", ranked=True, max_proposals=7), ranked[:7]
    )  # the cap takes the first
    for other in ({"seed": 1, "image_id": "a"}, {"image_id": "b"}):
        again = propose(image, min_side=5, ranked=True, **other)  # type: ignore[arg-type]
        assert as_set(again) == as_set(ranked)
        assert not np.array_equal(again, ranked)


def test_late_merges_come_before_early_ones_but_not_all_of_them() -> None:
    """A hierarchy of 101 boxes: box k was made at place k, so the last is the whole image."""
    boxes = np.array([[0, 0, k + 1, k + 1] for k in range(101)], np.float32)
    places = np.array([selective_search.ranking([boxes], np.random.default_rng(seed))[:, 2] - 1 for seed in range(20)])
    first, last = places[:, :10], places[:, -10:]
    assert first.mean() > 70 > 30 > last.mean()
    assert (first < 50).any()  # the random number brings some early merges to the front
    assert not (np.sort(places[0])[::-1] == places[0]).all()


def test_a_box_of_several_hierarchies_keeps_its_best_place_and_comes_once() -> None:
    whole, part, other = ([0, 0, 9, 9], [0, 0, 5, 5], [5, 5, 9, 9])
    hierarchies = [np.array([part, whole], np.float32), np.array([other, part, whole], np.float32)]

    class Ones:
        def random(self, count: int) -> np.ndarray:
            return np.ones(count)

    ranked = selective_search.ranking(hierarchies, Ones())  # type: ignore[arg-type]
    assert ranked.tolist() == [whole, part, other]  # places 1, 2 and 3
    assert selective_search.ranking([np.zeros((0, 4), np.float32)], np.random.default_rng(0)).shape == (0, 4)


def test_the_number_of_workers_has_no_influence_on_the_ranking(image: np.ndarray) -> None:
    images = [np.roll(image, shift, axis=1) for shift in (0, 10)]
    function = partial(propose, ranked=True, min_side=5)
    for alone, shared in zip(parallel_map(function, images, 1, ""), parallel_map(function, images, 2, ""), strict=True):
        np.testing.assert_array_equal(alone, shared)


def test_without_texture_some_boxes_differ(image: np.ndarray) -> None:
    with_texture, without = (propose(image, min_side=1, texture=texture) for texture in (True, False))
    assert len(without) > 20
    assert as_set(without) != as_set(with_texture)


@pytest.mark.parametrize("options", [{"texture": False}, {"ranked": True}])
def test_opencv_refuses_what_it_does_not_have(image: np.ndarray, options: dict[str, bool]) -> None:
    (name,) = options
    with pytest.raises(ValueError, match=f"opencv has no {name}: .*; set engine to own, or {name} to "):
        propose(image, engine="opencv", **options)  # type: ignore[arg-type]


class Recorder:
    """A replacement for OpenCV's class that records its input."""

    def __init__(self) -> None:
        self.image = np.zeros(0)
        self.modes: list[str] = []

    def setBaseImage(self, image: np.ndarray) -> None:  # noqa: N802
        self.image = image

    def switchToSelectiveSearchFast(self) -> None:  # noqa: N802
        self.modes.append("fast")

    def switchToSelectiveSearchQuality(self) -> None:  # noqa: N802
        self.modes.append("quality")

    def process(self) -> np.ndarray:
        return np.array([[1, 2, 3, 4]])


@pytest.fixture
def recorder(monkeypatch: pytest.MonkeyPatch) -> Recorder:
    found = Recorder()
    monkeypatch.setattr(cv2.ximgproc.segmentation, "createSelectiveSearchSegmentation", lambda: found)
    return found


def test_a_red_image_reaches_opencv_as_bgr(recorder: Recorder) -> None:
    red = np.zeros((10, 12, 3), np.uint8)
    red[..., 0] = 255  # in RGB
    boxes = propose(red, engine="opencv", min_side=1)
    assert recorder.image[0, 0].tolist() == [0, 0, 255]
    assert boxes.tolist() == [[1, 2, 4, 6]]  # x, y, width, height


@pytest.mark.parametrize("mode", ["fast", "quality"])
def test_the_mode_is_opencvs(recorder: Recorder, mode: str) -> None:
    propose(np.zeros((10, 12, 3), np.uint8), engine="opencv", mode=mode)
    assert recorder.modes == [mode]


@each_engine
def test_quality_finds_more(image: np.ndarray, engine: str) -> None:
    fast, quality = (propose(image, engine=engine, mode=mode, min_side=5) for mode in ("fast", "quality"))
    assert len(quality) > 1.5 * len(fast)


@each_engine
@pytest.mark.parametrize(
    "size", [(10, 1000), (400, 4), (1, 1), (1, 60), (60, 1), (2, 2), (227, 640), (100, 240), (100, 243)]
)
def test_any_aspect_ratio_is_searched_and_boxes_lie_inside(size: tuple[int, int], engine: str) -> None:
    height, width = size
    stripes = np.zeros((height, width, 3), np.uint8)
    stripes[: -(-height // 2), : -(-width // 3)] = (255, 0, 0)
    stripes[height // 2 :, width // 2 :] = (0, 255, 255)
    boxes = propose(stripes, engine=engine, min_side=1)
    assert len(boxes) > 0
    assert (boxes >= 0).all()
    assert (boxes <= [width, height, width, height]).all()
    assert ((boxes[:, 2:] - boxes[:, :2]) >= 1).all()


@pytest.mark.parametrize("size", [(10, 1000), (1000, 10), (227, 640), (1, 60), (1, 1)])
def test_opencv_never_sees_an_aspect_ratio_that_it_crashes_on(recorder: Recorder, size: tuple[int, int]) -> None:
    image = np.random.default_rng(0).integers(0, 256, (*size, 3), np.uint8)
    propose(image, engine="opencv", min_side=1)
    height, width = recorder.image.shape[:2]
    assert max(height / width, width / height) <= selective_search.MAX_ASPECT
    np.testing.assert_array_equal(recorder.image[: size[0], : size[1], ::-1], image)


def test_opencv_gets_an_image_of_common_shape_as_it_is(recorder: Recorder, image: np.ndarray) -> None:
    propose(image, engine="opencv")
    assert recorder.image.shape == image.shape


@each_engine
def test_shapes_that_stand_out_are_found(image: np.ndarray, engine: str) -> None:
    gt_boxes = np.array([[10, 10, 31, 41], [50, 15, 81, 46]], np.float32)
    assert _overlaps(propose(image, engine=engine, min_side=5), gt_boxes).min() > 0.8


def _overlaps(boxes: np.ndarray, gt_boxes: np.ndarray) -> np.ndarray:
    return iou(torch.from_numpy(gt_boxes), torch.from_numpy(boxes)).max(dim=1).values.numpy()


@pytest.fixture
def photos(shared_data: Path) -> dict[str, Any]:
    found = {}
    with tarfile.open(shared_data / "voc2007-mini.tar") as archive:
        for name in ("000005", "000012"):
            jpeg = archive.extractfile(f"VOCdevkit/VOC2007/JPEGImages/{name}.jpg").read()
            xml = ElementTree.parse(archive.extractfile(f"VOCdevkit/VOC2007/Annotations/{name}.xml"))
            boxes = [
                [int(box.find(key).text) for key in ("xmin", "ymin", "xmax", "ymax")] for box in xml.iter("bndbox")
            ]
            rgb = cv2.imdecode(np.frombuffer(jpeg, np.uint8), cv2.IMREAD_COLOR_RGB)
            found[name] = rgb, np.array(boxes, np.float32) - [1, 1, 0, 0]
    return found


@each_engine
@pytest.mark.real
def test_photos_give_hundreds_of_boxes_that_cover_most_objects(photos: dict[str, Any], engine: str) -> None:
    best = []
    for image_id, (rgb, gt_boxes) in photos.items():
        boxes = propose(rgb, engine=engine, min_side=20, image_id=image_id)
        assert 300 < len(boxes) < 5000
        assert (boxes <= [rgb.shape[1], rgb.shape[0]] * 2).all()
        best.append(_overlaps(boxes, gt_boxes.astype(np.float32)))
    assert (np.concatenate(best) >= 0.5).mean() > 0.6
