from pathlib import Path

import numpy as np
import pytest

from src.files.boxed_images import BoxedImages
from src.files.prepared import write_prepared


def entry(file: str, **changes: object) -> dict:
    return {"file": file, "height": 4, "width": 6, "boxes": [], "labels": [], "difficult": [], **changes}


@pytest.fixture
def images(tmp_path: Path) -> BoxedImages:
    objects = {"boxes": [[0, 0, 3, 4], [1, 1, 2, 2]], "labels": [2, 1], "difficult": [False, True]}
    images = {"a": entry("a.png", **objects), "b": entry("b.png")}
    write_prepared(tmp_path / "tiny.zip", ["car", "dog"], {"train": ["a", "b"]}, images, [])
    return BoxedImages(tmp_path / "tiny.zip")


def test_targets_have_the_types_of_the_contract(images: BoxedImages) -> None:
    target = images.target("a")
    assert target["boxes"].dtype == np.float32
    assert target["labels"].dtype == np.int64
    assert target["difficult"].tolist() == [False, True]
    assert target["image_id"] == "a"
    assert images.size("a") == (4, 6)
    assert images.num_classes == 3


def test_an_image_without_objects_has_an_empty_target(images: BoxedImages) -> None:
    target = images.target("b")
    assert target["boxes"].shape == (0, 4)
    assert target["labels"].shape == target["difficult"].shape == (0,)
    assert target["difficult"].dtype == bool
