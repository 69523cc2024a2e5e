"""Frames of a camera or a video file, and the annotated video made of them, with OpenCV."""

import contextlib
from collections.abc import Iterator
from itertools import count
from pathlib import Path

import cv2
import numpy as np

from src.errors import InputError

SUFFIXES = (".3gp", ".avi", ".m2ts", ".m4v", ".mkv", ".mov", ".mp4", ".mpeg", ".mpg", ".mts", ".ts", ".webm", ".wmv")
FPS = 25.0  # frames per second of the written video if the source does not state its own


class Frames:
    """The frames of a camera or a video file, in order."""

    def __init__(self, name: str, source: Path | int) -> None:
        """Open a video file, or the camera with a number; a source that does not open is an `InputError`.

        Args:
            name: the beginning of the frames' ids.
            source: the file, or the number of the camera.
        """
        self.capture = cv2.VideoCapture(source if isinstance(source, int) else str(source))
        self.name = name
        if not self.capture.isOpened():
            label = f"camera {source}" if isinstance(source, int) else f"{source}"
            raise InputError(
                f"{label} cannot be opened: it does not exist, is in use, or has a format that OpenCV does not read"
            )
        stated = self.capture.get(cv2.CAP_PROP_FPS)
        self.fps = stated if 1 <= stated <= 1000 else FPS
        self.length = max(0, int(self.capture.get(cv2.CAP_PROP_FRAME_COUNT))) or None  # None for a camera

    def __iter__(self) -> Iterator[tuple[str, np.ndarray]]:
        """Yield (id, RGB image [H, W, 3]) per frame; the id is the source's name and the frame's number from 0."""
        for number in count():
            is_read, frame = self.capture.read()
            if not is_read:
                return
            yield f"{self.name}_{number:06d}", cv2.cvtColor(frame, cv2.COLOR_BGR2RGB)

    def close(self) -> None:
        """Release the camera or the file."""
        self.capture.release()


@contextlib.contextmanager
def writer(path: Path, fps: float) -> Iterator["Writer"]:
    """Open an MP4 file for pictures; it is playable even if the block ends with an error."""
    video = Writer(path, fps)
    try:
        yield video
    finally:
        video.close()


class Writer:
    """An MP4 file with the size of its first picture."""

    def __init__(self, path: Path, fps: float) -> None:
        self.path, self.fps = path, fps
        self._file: cv2.VideoWriter | None = None

    def add(self, picture: np.ndarray) -> None:
        """Append an RGB picture [H, W, 3]; all must have the same size."""
        if self._file is None:
            height, width = picture.shape[:2]
            self.path.parent.mkdir(parents=True, exist_ok=True)
            self._file = cv2.VideoWriter(str(self.path), cv2.VideoWriter.fourcc(*"mp4v"), self.fps, (width, height))
        self._file.write(cv2.cvtColor(picture, cv2.COLOR_RGB2BGR))

    def close(self) -> None:
        """Finish the file."""
        if self._file is not None:
            self._file.release()
