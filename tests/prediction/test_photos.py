import io
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from src.errors import InputError
from src.files.prepared import decode_image
from src.prediction.photos import decode, enlarge, find, passed_over, shrink
from tests.trained import encoded, scene


def test_files_as_named_and_folders_sorted_with_what_lies_below_them(tmp_path: Path) -> None:
    for name in ("b/2.JPG", "b/1.png", "b/deep/1.png", "b/notes.txt", "b/web.jfif", "a.webp", "odd.raw"):
        (tmp_path / name).parent.mkdir(exist_ok=True, parents=True)
        (tmp_path / name).touch()
    found = find([tmp_path / "odd.raw", tmp_path / "b", tmp_path / "a.webp"])
    assert list(found) == ["odd", "1", "2", "deep/1", "web", "a"]
    assert found["deep/1"] == (tmp_path / "b/deep/1.png").resolve()


def test_ids_stay_apart_and_no_file_comes_twice(tmp_path: Path) -> None:
    for name in ("x.jpg", "x.png", "b/x.jpg", "c/x.jpg"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).touch()
    paths = [tmp_path / name for name in ("x.jpg", "x.png", "b/x.jpg", "c/x.jpg", "x.jpg")]
    assert list(find(paths)) == ["x", "x.png", "x.jpg", "x.jpg-2"]


def test_a_path_that_is_not_there_is_an_error_and_an_empty_folder_none(tmp_path: Path) -> None:
    assert find([tmp_path]) == {}
    with pytest.raises(InputError, match="no file or folder .*nowhere"):
        find([tmp_path / "nowhere"])


def test_an_image_without_rotation_is_as_the_pipeline_reads_it() -> None:
    for suffix in (".png", ".jpg"):
        content = encoded(scene(30, 50), suffix)
        np.testing.assert_array_equal(decode(content), decode_image(content))


def test_a_turned_photo_comes_upright() -> None:
    buffer, exif = io.BytesIO(), Image.Exif()
    exif[0x0112] = 6  # the camera was held on its side
    Image.fromarray(scene(30, 50)).save(buffer, "JPEG", exif=exif)
    assert decode(buffer.getvalue()).shape == (50, 30, 3)


@pytest.mark.parametrize("content", [b"", b"not an image", b"\x89PNG\r\n\x1a\n", b"<svg/>"])
def test_what_is_no_image_is_an_error(content: bytes) -> None:
    with pytest.raises(InputError, match="not a readable image"):
        decode(content)


def test_too_many_pixels_are_refused_by_the_header() -> None:
    with pytest.raises(InputError, match="50 x 30 pixels"):
        decode(encoded(scene(30, 50)), max_pixels=1499)
    assert decode(encoded(scene(30, 50)), max_pixels=1500).shape == (30, 50, 3)


def test_shrinking_keeps_the_shape_and_boxes_come_back() -> None:
    image = scene(300, 500)
    assert shrink(image, 500) is image
    small = shrink(image, 100)
    assert small.shape == (60, 100, 3)
    assert shrink(np.zeros((1, 5000, 3), np.uint8), 100).shape == (1, 100, 3)
    boxes = np.array([[0, 0, 100, 60], [10, 20, 30, 40]], np.float32)
    np.testing.assert_array_equal(enlarge(boxes, (60, 100), (300, 500)), boxes * 5)
    assert enlarge(np.zeros((0, 4), np.float32), (60, 100), (300, 500)).shape == (0, 4)


def test_files_that_are_passed_over_in_folders_are_counted_by_suffix(tmp_path: Path) -> None:
    for name in ("a.jpg", "b.HEIC", "deep/c.heic", "clip.mp4", "notes", ".hidden", ".git/config", "deep/d.png"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).touch()
    assert passed_over([tmp_path, tmp_path / "b.HEIC"]) == {"": 1, ".heic": 2, ".mp4": 1}
    assert passed_over([tmp_path / "notes"]) == {}


@pytest.mark.parametrize("mode", ["RGBA", "LA", "P"])
def test_transparent_paper_is_white_and_ink_keeps_its_colour(mode: str) -> None:
    picture, buffer = Image.new("RGBA", (8, 6), (0, 0, 0, 0)), io.BytesIO()
    picture.paste((0, 0, 0, 255), (2, 2, 4, 4))
    if mode == "P":
        indexed = Image.new("P", picture.size, 0)
        indexed.putpalette([0, 0, 0, 0, 0, 0])
        indexed.paste(1, (2, 2, 4, 4))
        indexed.save(buffer, "PNG", transparency=0)
    else:
        picture.convert(mode).save(buffer, "PNG")
    image = decode(buffer.getvalue())
    assert image.dtype == np.uint8
    assert (image[2:4, 2:4] == 0).all()
    assert (image.sum((1, 2)) > 0).all()
    assert (image[0] == 255).all()


def test_a_transparent_image_that_breaks_off_is_an_error() -> None:
    buffer = io.BytesIO()
    Image.effect_noise((60, 60), 90).convert("RGBA").save(buffer, "PNG")
    with pytest.raises(InputError, match="cannot be decoded"):
        decode(buffer.getvalue()[:500])
