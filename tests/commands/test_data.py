from pathlib import Path

import numpy as np
import pytest
from ruamel.yaml import YAML

from commands import data
from commands.write_deps import ROOT
from src.errors import InputError
from src.files.boxed_images import BoxedImages
from src.files.prepared import write_prepared
from tests.ingest.boxed_sets import drawn

CONTENT = YAML(typ="safe").load((ROOT / "params.yaml").read_text())
CONTENT["splits"]["detectors"] = "train"
PARAMS = data.Params.model_validate(CONTENT)
DIFFICULT = "im5"


@pytest.fixture
def prepared(tmp_path: Path) -> Path:
    images = drawn(24)
    names = sorted({name for image in images for name, _ in image.objects})
    entries = {
        image.stem: {
            "file": f"{image.stem}.png",
            "height": image.size[0],
            "width": image.size[1],
            "boxes": [[x, y, x + width, y + height] for _, (x, y, width, height) in image.objects],
            "labels": [names.index(name) + 1 for name, _ in image.objects],
            "difficult": [image.stem == DIFFICULT] * len(image.objects),
        }
        for image in images
    }
    splits = {split: [image.stem for image in images if image.split == split] for split in ("train", "val", "test")}
    contents = ((f"{image.stem}.png", image.content) for image in images)
    write_prepared(tmp_path / "voc.zip", names, splits, entries, contents)
    return tmp_path / "voc.zip"


def test_the_page_shows_every_split_class_and_detector(prepared: Path, tmp_path: Path) -> None:
    data.run(PARAMS, prepared, out=tmp_path / "reports" / "data.html", images=2)
    page = (tmp_path / "reports" / "data.html").read_text()
    for words in ("ball", "box", "cup", "ssd300", "rpn", ">test<", "before and after augmentation", "fit no object"):
        assert words in page
    assert page.count("data:image/webp") == 2 * 5  # as it is, and for four detectors


def test_the_counts_are_those_of_the_set(prepared: Path) -> None:
    images = BoxedImages(prepared)
    (table,) = data.counts(images)
    assert list(table.head) == ["class", "test", "train", "val"]
    totals = [sum(int(part) for row in table.rows[:3] for part in str(row[k]).split(" + ")) for k in (1, 2, 3)]
    assert totals == [sum(len(images.target(one)["labels"]) for one in images.ids(name)) for name in table.head[1:]]
    assert [row[0] for row in table.rows[3:]] == ["images", "without objects"]
    assert table.rows[4][1:] == [2, 2, 2]
    assert any(" + " in str(row[1]) for row in table.rows[:3])  # the image with difficult objects tests


def test_an_object_that_is_a_starting_box_fits_and_a_speck_does_not(tmp_path: Path) -> None:
    from src import plugins

    module, section = plugins.section("detectors", PARAMS.detectors, "ssd300")
    boxes = module.build(2, section.model).default_boxes[:1].numpy() * 2  # of an image of twice the input's side
    side = 2 * section.model.size
    entry = {"file": "a", "height": side, "width": side, "boxes": [*boxes.tolist(), [5, 5, 6, 6], [0, 0, 9, 9]]}
    entry |= {"labels": [1, 1, 1], "difficult": [False, False, True]}
    empty = {**entry, "boxes": [], "labels": [], "difficult": []}
    write_prepared(tmp_path / "voc.zip", ["car"], {"train": ["a", "b"]}, {"a": entry, "b": empty}, [])
    best, sides, shapes, known = data.best_overlaps(module, section, BoxedImages(tmp_path / "voc.zip"), ["a", "b"])
    assert len(best) == len(shapes) == 2  # without the difficult one
    assert set(shapes) < known
    width, height = (boxes[0, 2:] - boxes[0, :2]) / 2
    assert shapes[0] == (round(width), round(height))
    assert len(known) == sum(2 + 2 * len(ratios) for ratios in section.model.aspect_ratios)
    assert best[0] == pytest.approx(1, abs=1e-3)
    assert best[1] < data.ENOUGH
    assert sides[1] == pytest.approx(0.5)
    nothing = data.best_overlaps(module, section, BoxedImages(tmp_path / "voc.zip"), ["b"])
    assert [len(found) for found in nothing[:3]] == [0, 0, 0]


def test_the_augmented_image_is_what_a_training_sees_and_the_same_with_the_same_seed(prepared: Path) -> None:
    section = {
        **PARAMS.detectors["ssd300"],
        "augment": {"photometric": True, "zoom_out": 0.5, "crop": True, "flip": 0.5},
    }
    from src import plugins

    _, section = plugins.section("detectors", {**PARAMS.detectors, "ssd300": section}, "ssd300")
    images = BoxedImages(prepared)
    first, second = (data.augmented(section, images, "im3", 7) for _ in range(2))
    for one, other in zip(first, second, strict=True):
        np.testing.assert_array_equal(one, other)
    assert first[0].shape == (section.model.size, section.model.size, 3)
    assert first[0].dtype == np.uint8
    assert len(first[1]) == len(first[2]) <= 3


def test_a_missing_set_is_named_with_the_remedy(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"none\.zip is missing: run `dvc repro prepare@voc` first"):
        data.run(PARAMS, tmp_path / "none.zip")
