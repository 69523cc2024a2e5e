import contextlib
from pathlib import Path

import numpy as np
import pytest

from src.errors import InputError
from src.prediction.video import Frames, writer
from tests.trained import scene


def test_frames_that_were_written_are_read_again_in_their_order(tmp_path: Path) -> None:
    path = tmp_path / "film.mp4"
    with writer(path, 10.0) as film:
        for shade in (0, 120, 240):
            film.add(np.full((48, 64, 3), (shade, 0, 0), np.uint8))
    frames = Frames("film", path)
    assert (frames.fps, frames.length) == (10.0, 3)
    found = dict(frames)
    frames.close()
    assert list(found) == ["film_000000", "film_000001", "film_000002"]
    reds = [frame[:, :, 0].mean() for frame in found.values()]
    np.testing.assert_allclose(reds, [0, 120, 240], atol=15)
    assert found["film_000002"][:, :, 2].mean() < 30, "RGB, not BGR"


def test_a_file_that_is_no_video_and_a_camera_that_is_not_there_are_errors(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "film.mp4").write_bytes(b"no film")
    with pytest.raises(InputError, match=r"film\.mp4 cannot be opened"):
        Frames("film", tmp_path / "film.mp4")
    with pytest.raises(InputError, match="camera 99 cannot be opened"):
        Frames("camera99", 99)


def test_no_picture_makes_no_file(tmp_path: Path) -> None:
    with writer(tmp_path / "film.mp4", 10.0):
        pass
    assert not (tmp_path / "film.mp4").exists()


def test_a_film_is_closed_when_the_work_on_it_fails(tmp_path: Path) -> None:
    with contextlib.suppress(KeyboardInterrupt), writer(tmp_path / "film.mp4", 10.0) as film:
        film.add(scene(48, 64))
        raise KeyboardInterrupt
    frames = Frames("film", tmp_path / "film.mp4")
    assert len(list(frames)) == 1
    frames.close()
