import pickle
from pathlib import Path

import cv2
import numpy as np
import pytest

from src.errors import InputError
from src.samples import Samples, decode_image, write_samples

RED = np.zeros((4, 6, 3), np.uint8)
RED[..., 0] = 255  # in RGB


def png(rgb: np.ndarray) -> bytes:
    return cv2.imencode(".png", rgb[..., ::-1])[1].tobytes()


def entry(file: str, **changes: object) -> dict:
    return {"file": file, "height": 4, "width": 6, "boxes": [], "labels": [], "difficult": [], **changes}


@pytest.fixture
def samples(tmp_path: Path) -> Samples:
    images = {
        "a": entry("a.png", boxes=[[0, 0, 3, 4], [1, 1, 2, 2]], labels=[2, 1], difficult=[False, True]),
        "b": entry("b.png"),
        "broken": entry("c.png"),
    }
    splits = {"train": ["a", "b"], "val": ["broken"], "trainval": ["b", "broken"]}
    contents = [("a.png", png(RED)), ("b.png", png(RED)), ("c.png", b"no image")]
    write_samples(tmp_path / "tiny.zip", ["car", "dog"], splits, images, contents)
    return Samples(tmp_path / "tiny.zip")


def test_a_red_image_is_red_in_its_first_channel_not_bgr(samples: Samples) -> None:
    image = samples.image("a")
    assert image.shape == (4, 6, 3)
    assert image.dtype == np.uint8
    assert image[0, 0].tolist() == [255, 0, 0]
    assert cv2.imdecode(np.frombuffer(png(RED), np.uint8), cv2.IMREAD_COLOR)[0, 0].tolist() == [0, 0, 255]  # the bug


def test_grey_images_have_three_channels() -> None:
    grey = cv2.imencode(".png", np.full((4, 6), 7, np.uint8))[1].tobytes()
    np.testing.assert_array_equal(decode_image(grey), np.full((4, 6, 3), 7))


def test_the_exif_rotation_is_ignored_because_boxes_are_drawn_on_the_stored_pixels() -> None:
    jpeg = cv2.imencode(".jpg", RED)[1].tobytes()
    # An APP1 segment: little-endian TIFF with one entry, orientation (0x0112) = 6, a quarter turn.
    tiff = b"II*\0\x08\0\0\0" + b"\x01\0" + b"\x12\x01\x03\0\x01\0\0\0\x06\0\0\0" + b"\0\0\0\0"
    exif = b"Exif\0\0" + tiff
    turned = jpeg[:2] + b"\xff\xe1" + (len(exif) + 2).to_bytes(2, "big") + exif + jpeg[2:]
    assert cv2.imdecode(np.frombuffer(turned, np.uint8), cv2.IMREAD_COLOR).shape == (6, 4, 3)  # what would happen
    assert decode_image(turned).shape == (4, 6, 3)


@pytest.mark.parametrize("content", [b"no image", b""])
def test_bytes_that_are_no_image_decode_to_none(content: bytes) -> None:
    assert decode_image(content) is None


def test_an_image_that_does_not_decode_is_an_error_that_names_it(samples: Samples) -> None:
    with pytest.raises(InputError, match=r"tiny\.zip: image broken does not decode"):
        samples.image("broken")


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


def test_ids_of_splits_come_once_and_in_order(samples: Samples) -> None:
    assert samples.ids("train") == ["a", "b"]
    assert samples.ids("trainval", "train") == ["b", "broken", "a"]


def test_an_unknown_split_is_an_error_that_names_those_there_are(samples: Samples) -> None:
    with pytest.raises(InputError, match="no split 'test', only train"):
        samples.ids("test")


def test_an_opened_data_set_can_be_sent_to_another_process(samples: Samples) -> None:
    samples.image("a")
    sent = pickle.loads(pickle.dumps(samples))
    np.testing.assert_array_equal(sent.image("b"), samples.image("b"))


def test_the_same_data_set_is_the_same_bytes(samples: Samples, tmp_path: Path) -> None:
    contents = [("a.png", png(RED)), ("b.png", png(RED)), ("c.png", b"no image")]
    images = {name: samples._images[name] for name in ("broken", "b", "a")}
    write_samples(tmp_path / "again.zip", ["car", "dog"], samples.splits, images, contents)
    assert (tmp_path / "again.zip").read_bytes() == samples.path.read_bytes()
