from pathlib import Path

import numpy as np
import pytest

from src.files.boxed_images import Samples
from src.files.prepared import write_prepared


def entry(file: str, **changes: object) -> dict:
    return {"file": file, "height": 4, "width": 6, "boxes": [], "labels": [], "difficult": [], **changes}


@pytest.fixture
def samples(tmp_path: Path) -> Samples:
    objects = {"boxes": [[0, 0, 3, 4], [1, 1, 2, 2]], "labels": [2, 1], "difficult": [False, True]}
    images = {"a": entry("a.png", **objects), "b": entry("b.png")}
    write_prepared(tmp_path / "tiny.zip", ["car", "dog"], {"train": ["a", "b"]}, images, [])
    return Samples(tmp_path / "tiny.zip")


def test_targets_have_the_types_of_the_contract(samples: Samples) -> None:
    target = samples.target("a")
    assert target["boxes"].dtype == np.float32
    assert target["labels"].dtype == np.int64
    assert target["difficult"].tolist() == [False, True]
    assert target["image_id"] == "a"
    assert samples.size("a") == (4, 6)
    assert samples.num_classes == 3


def test_an_image_without_objects_has_an_empty_target(samples: Samples) -> None:
    target = samples.target("b")
    assert target["boxes"].shape == (0, 4)
    assert target["labels"].shape == target["difficult"].shape == (0,)
    assert target["difficult"].dtype == bool
