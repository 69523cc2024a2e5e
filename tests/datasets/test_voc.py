from pathlib import Path

import pytest
from pydantic import ValidationError

from src.datasets import voc
from tests.ingest.test_archives import write_tar
from tests.ingest.test_own_splits import SPLIT
from tests.ingest.voc.test_reader import members

SECTION = {
    "source": "local",
    "path": "mine.tar",
    "format": "auto",
    "split": SPLIT,
    "years": [2007],
    "classes": None,
    "other_classes": "drop",
    "limit": None,
    "tolerance": 2.0,
    "bad": "error",
    "sample": {"train": 1, "val": 1, "test": 1, "extra": 1},
}


def test_every_official_file_has_mirrors() -> None:
    urls = [
        mirror.format(year=year, name=name)
        for mirror in voc.MIRRORS
        for year in voc.OFFICIAL
        for name in voc.OFFICIAL[year]
    ]
    assert len(set(urls)) == len(voc.MIRRORS) * 3
    assert "http://host.robots.ox.ac.uk/pascal/VOC/voc2012/VOCtrainval_11-May-2012.tar" in urls


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"path": None}, "path must name a tar, a zip or a folder in the format of VOC, COCO or YOLO"),
        ({"source": "official", "years": [2012]}, "years must include 2007"),
        ({"classes": []}, "classes must be null or a list of different names"),
        ({"classes": ["car", "car"]}, "different names"),
        ({"source": "web"}, "'sample', 'official' or 'local'"),
        ({"sample": {"train": 0, "val": 1, "test": 1, "extra": 1}}, "greater than or equal to 1"),
    ],
)
def test_a_wrong_parameter_is_refused(changes, message) -> None:
    with pytest.raises(ValidationError, match=message):
        voc.Params.model_validate({**SECTION, **changes})


def test_the_parameters_reach_the_reader(tmp_path: Path) -> None:
    write_tar(tmp_path / "local.tar", members())
    section = voc.Params.model_validate({**SECTION, "classes": ["dog"], "limit": 1})
    data = voc.prepare(tmp_path, section, 1)
    assert data.classes == ["dog"]
    assert data.splits["train"] == ["000003"]
    assert data.summary() == "3 images (test 1, train 1, trainval 2, val 1), 1 objects (0 difficult) of 1 classes"
