import hashlib
import os
import subprocess
import sys
from pathlib import Path

import cv2
import numpy as np
import pytest

from src.selective_search.strategies import MODES, converted, hierarchies, search
from tests.conftest import ROOT
from tests.selective_search.pictures import SHAPES, jaccard, noise, photos, scenes

PARTS = ("Color", "Fill", "Texture", "Size")


def opencv(image: np.ndarray, mode: str, *, texture: bool = True) -> np.ndarray:
    """Search with OpenCV in our colour spaces and scales, and return the boxes [N, 4].

    OpenCV's quality mode uses the blue channel as the hue: it keeps the hue in a buffer, and then splits the image into
    the same buffer (opencv_contrib, ximgproc, selectivesearchsegmentation.cpp). So its parts are put together here.
    """
    part = cv2.ximgproc.segmentation
    search = part.createSelectiveSearchSegmentation()
    for space in MODES[mode].spaces:
        search.addImage(np.squeeze(converted(image, space)))
    for k in MODES[mode].scales:
        search.addGraphSegmentation(part.createGraphSegmentation(0.8, float(k), 100))
    for measures in MODES[mode].measures:
        names = [name for name in PARTS if getattr(measures, name.lower().replace("color", "colour"))]
        if not texture and "Texture" in names:
            names.remove("Texture")
        chosen = [getattr(part, f"createSelectiveSearchSegmentationStrategy{name}")() for name in names]
        search.addStrategy(part.createSelectiveSearchSegmentationStrategyMultiple(*chosen))
    x, y, width, height = search.process().T
    return np.stack([x, y, x + width, y + height], axis=1)


def test_fast_is_opencvs_own_fast_mode() -> None:
    image = scenes(1)[0]
    own = cv2.ximgproc.segmentation.createSelectiveSearchSegmentation()
    own.setBaseImage(image[..., ::-1].copy())
    own.switchToSelectiveSearchFast()
    x, y, width, height = own.process().T
    assert jaccard(np.stack([x, y, x + width, y + height], axis=1), opencv(image, "fast")) == 1


@pytest.mark.parametrize(("mode", "least"), [("fast", 0.98), ("quality", 0.95)])
def test_boxes_of_drawn_scenes_are_opencvs_but_for_ties(mode: str, least: float) -> None:
    for image in scenes(3 if mode == "fast" else 1):
        assert jaccard(search(image, mode), opencv(image, mode)) >= least


def test_boxes_without_texture_are_opencvs_but_for_ties() -> None:
    image = scenes(1)[0]
    assert jaccard(search(image, "fast", texture=False), opencv(image, "fast", texture=False)) >= 0.98


def test_no_texture_is_computed_without_the_measure(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("src.selective_search.strategies.texture_bins", None)
    assert len(search(noise(20, 30), "quality", texture=False))


def test_each_hierarchy_ends_with_the_whole_image() -> None:
    found = hierarchies(scenes(1)[0], "fast")
    height, width = scenes(1)[0].shape[:2]
    assert len(found) == 12  # 2 colour spaces, 3 scales, 2 measures
    for boxes in found:
        assert boxes[-1].tolist() == [0, 0, width, height]


@pytest.mark.real
def test_boxes_of_photos_are_opencvs_but_for_ties(shared_data: Path) -> None:
    for image in photos(shared_data, 3):
        assert jaccard(search(image, "fast"), opencv(image, "fast")) >= 0.98


@pytest.mark.parametrize(("height", "width"), SHAPES)
def test_any_shape_is_searched_up_to_the_whole_image(height: int, width: int) -> None:
    boxes = search(noise(height, width), "quality")
    assert (boxes >= 0).all()
    assert (boxes <= [width, height, width, height]).all()
    assert [0, 0, width, height] in boxes.tolist()


def test_another_process_finds_the_same_bytes() -> None:
    code = (
        "import hashlib; from src.selective_search.strategies import search; "
        "from src.ingest.drawn.scenes import scene; "
        "print(hashlib.sha256(search(scene(0, 0)[0], 'fast').tobytes()).hexdigest())"
    )
    here = hashlib.sha256(search(scenes(1)[0], "fast").tobytes()).hexdigest()
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "2", "NUMBA_NUM_THREADS": "1"}
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, env=environment, capture_output=True, text=True)
    assert done.stdout.strip() == here, done.stderr


def test_colour_spaces_are_those_of_rgb() -> None:
    red = np.full((2, 2, 3), [200, 0, 0], np.uint8)
    assert converted(red, "hsv")[0, 0].tolist() == [0, 255, 200]
    assert converted(red, "hue")[0, 0].tolist() == [0]
    assert converted(red, "grey")[0, 0].tolist() == [60]
    assert converted(red, "rgi")[0, 0].tolist() == [200, 0, 60]
    assert converted(red, "lab")[0, 0, 1] > 128  # red, not green
