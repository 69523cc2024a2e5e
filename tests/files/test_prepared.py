import pickle
from pathlib import Path

import cv2
import numpy as np
import pytest

from src.errors import InputError
from src.files.prepared import Prepared, decode_image, write_prepared

RED = np.zeros((4, 6, 3), np.uint8)
RED[..., 0] = 255  # in RGB
IMAGES = {name: {"file": f"{name}.png"} for name in ("a", "b", "broken")}
SPLITS = {"train": ["a", "b"], "val": ["broken"], "trainval": ["b", "broken"], "test": []}


def png(rgb: np.ndarray) -> bytes:
    return cv2.imencode(".png", rgb[..., ::-1])[1].tobytes()


CONTENTS = [("a.png", png(RED)), ("b.png", png(RED // 2)), ("broken.png", b"no image")]


@pytest.fixture
def data(tmp_path: Path) -> Prepared:
    write_prepared(tmp_path / "tiny.zip", ["car", "dog"], SPLITS, IMAGES, CONTENTS)
    return Prepared(tmp_path / "tiny.zip")


def test_a_red_image_is_red_in_its_first_channel_not_bgr(data: Prepared) -> None:
    image = data.image("a")
    assert image.shape == (4, 6, 3)
    assert image.dtype == np.uint8
    assert image[0, 0].tolist() == [255, 0, 0]
    assert cv2.imdecode(np.frombuffer(png(RED), np.uint8), cv2.IMREAD_COLOR)[0, 0].tolist() == [0, 0, 255]  # the bug


def test_grey_images_have_three_channels() -> None:
    grey = cv2.imencode(".png", np.full((4, 6), 7, np.uint8))[1].tobytes()
    np.testing.assert_array_equal(decode_image(grey), np.full((4, 6, 3), 7))


def test_the_exif_rotation_is_ignored_because_boxes_are_drawn_on_the_stored_pixels() -> None:
    jpeg = cv2.imencode(".jpg", RED)[1].tobytes()
    # An APP1 segment: little-endian TIFF with one entry, orientation (0x0112) = 6, which is a quarter turn.
    tiff = b"II*\0\x08\0\0\0" + b"\x01\0" + b"\x12\x01\x03\0\x01\0\0\0\x06\0\0\0" + b"\0\0\0\0"
    exif = b"Exif\0\0" + tiff
    turned = jpeg[:2] + b"\xff\xe1" + (len(exif) + 2).to_bytes(2, "big") + exif + jpeg[2:]
    assert cv2.imdecode(np.frombuffer(turned, np.uint8), cv2.IMREAD_COLOR).shape == (6, 4, 3)  # OpenCV's default
    assert decode_image(turned).shape == (4, 6, 3)


@pytest.mark.parametrize("content", [b"no image", b""])
def test_bytes_that_are_no_image_decode_to_none(content: bytes) -> None:
    assert decode_image(content) is None


def test_an_image_that_does_not_decode_is_an_error_that_names_it_and_the_stage(data: Prepared) -> None:
    with pytest.raises(InputError, match=r"tiny\.zip: image broken does not decode; run `dvc repro -f prepare@tiny`"):
        data.image("broken")


def test_ids_of_splits_come_once_and_in_order_and_may_be_none(data: Prepared) -> None:
    assert data.ids("train") == ["a", "b"]
    assert data.ids("trainval", "train") == ["b", "broken", "a"]
    assert data.ids("test") == []


def test_an_unknown_split_is_an_error_that_names_those_there_are(data: Prepared) -> None:
    with pytest.raises(InputError, match=r"tiny\.zip has no split 'extra', only test, train, trainval, val"):
        data.ids("extra")


def test_an_opened_data_set_can_be_sent_to_another_process(data: Prepared) -> None:
    data.image("a")
    sent = pickle.loads(pickle.dumps(data))
    np.testing.assert_array_equal(sent.image("b"), data.image("b"))


def test_a_process_that_gets_a_data_set_often_opens_it_once(data: Prepared, monkeypatch: pytest.MonkeyPatch) -> None:
    sent = pickle.dumps(data)
    assert len(sent) < 300  # whatever the number of images
    assert pickle.loads(sent) is pickle.loads(sent)
    write_prepared(data.path, ["cat"], {}, {}, [])
    assert pickle.loads(pickle.dumps(data)).classes == ["cat"]


def test_the_same_data_set_is_the_same_bytes(data: Prepared, tmp_path: Path) -> None:
    images = {name: IMAGES[name] for name in ("broken", "b", "a")}
    write_prepared(tmp_path / "again.zip", ["car", "dog"], SPLITS, images, CONTENTS)
    assert (tmp_path / "again.zip").read_bytes() == data.path.read_bytes()
