import copy
from pathlib import Path

import numpy as np
import pytest

from src.demo.photo import MAX_SIDE, Photo, handed_in
from src.errors import InputError
from tests.trained import encoded, scene


def test_an_upload_is_read_and_its_file_deleted(tmp_path: Path) -> None:
    path = tmp_path / "boat.png"
    path.write_bytes(encoded(scene(90, 120)))
    photo = handed_in(path)
    assert (photo.image_id, photo.size, photo.data) == ("boat", (90, 120), None)
    assert not path.exists()


def test_a_bad_upload_is_an_error_and_deleted_too(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "boat.png"
    path.write_text("no photo")
    with pytest.raises(InputError, match="not a readable image"):
        handed_in(path)
    assert not path.exists()
    monkeypatch.setattr("src.demo.photo.MAX_PIXELS", 100)
    path.write_bytes(encoded(scene(90, 120)))
    with pytest.raises(InputError, match="120 x 90 pixels"):
        handed_in(path)
    monkeypatch.setattr("src.demo.photo.MAX_BYTES", 4)
    path.write_text("no photo")
    with pytest.raises(InputError, match="the file has 0.0 MB"):
        handed_in(path)


def test_a_large_photo_is_made_smaller_and_a_session_keeps_one_copy() -> None:
    photo = Photo(scene(800, 1600), "x")
    assert photo.size == (320, MAX_SIDE)
    box = np.array([100, 200, 300, 400], np.float32)
    name, smaller = Photo(scene(800, 1600), "x", "voc", [("boat", box)]).objects[0]
    assert (name, smaller.tolist()) == ("boat", [40, 80, 120, 160])
    assert copy.deepcopy(photo) is photo
