import pickle
from pathlib import Path

import cv2
import numpy as np
import pytest

from src.errors import InputError
from src.labelled import LabelledData, LabelledImages

RED = np.zeros((4, 6, 3), np.uint8)
RED[..., 0] = 255  # in RGB


def png(rgb: np.ndarray) -> bytes:
    return cv2.imencode(".png", rgb[..., ::-1])[1].tobytes()


def data() -> LabelledData:
    images = {
        "fist/a.png": {"file": "images/fist/a.png", "label": 0},
        "ok/a.png": {"file": "images/ok/a.png", "label": 1},
        "ok/broken.png": {"file": "images/ok/broken.png", "label": 1},
    }
    splits = {"train": ["fist/a.png", "ok/a.png"], "val": ["ok/broken.png"], "test": []}
    contents = [png(RED), png(RED // 2), b"no image"]
    return LabelledData(
        ["fist", "ok"], splits, images, zip((entry["file"] for entry in images.values()), contents, strict=True)
    )


@pytest.fixture
def images(tmp_path: Path) -> LabelledImages:
    data().write(tmp_path / "tiny.zip")
    return LabelledImages(tmp_path / "tiny.zip")


def test_a_red_image_is_red_in_its_first_channel_not_bgr(images: LabelledImages) -> None:
    assert images.image("fist/a.png").shape == (4, 6, 3)
    assert images.image("fist/a.png")[0, 0].tolist() == [255, 0, 0]


def test_images_of_one_name_in_two_classes_stay_two(images: LabelledImages) -> None:
    assert images.ids("train") == ["fist/a.png", "ok/a.png"]
    assert [images.label(image_id) for image_id in images.ids("train")] == [0, 1]
    assert images.image("ok/a.png")[0, 0].tolist() == [127, 0, 0]
    assert images.classes == ["fist", "ok"]


def test_ids_of_splits_come_once_and_in_order_and_may_be_none(images: LabelledImages) -> None:
    assert images.ids("val", "train", "val") == ["ok/broken.png", "fist/a.png", "ok/a.png"]
    assert images.ids("test") == []
    with pytest.raises(InputError, match=r"tiny\.zip has no split 'trainval', only test, train, val"):
        images.ids("trainval")


def test_an_image_that_does_not_decode_is_an_error_that_names_it(images: LabelledImages) -> None:
    with pytest.raises(InputError, match=r"tiny\.zip: image ok/broken\.png does not decode"):
        images.image("ok/broken.png")


def test_an_opened_data_set_can_be_sent_to_another_process(images: LabelledImages) -> None:
    images.image("ok/a.png")
    np.testing.assert_array_equal(pickle.loads(pickle.dumps(images)).image("fist/a.png"), RED)


def test_the_same_data_set_is_the_same_bytes_and_is_summed_up_in_a_line(images: LabelledImages, tmp_path: Path) -> None:
    data().write(tmp_path / "again.zip")
    assert (tmp_path / "again.zip").read_bytes() == images.path.read_bytes()
    assert data().summary() == "3 images (train 2, val 1, test 0) of 2 classes"
