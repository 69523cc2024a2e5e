"""Frames of a camera or of a video file, and the annotated video made of them, through OpenCV."""

import contextlib
from collections.abc import Iterator
from itertools import count
from pathlib import Path

import cv2
import numpy as np

from src.errors import InputError

SUFFIXES = (".avi", ".m4v", ".mkv", ".mov", ".mp4", ".mpeg", ".mpg", ".webm")
FPS = 25.0  # of the written video where a camera or a file does not say its own


class Frames:
    """The frames of a source, one after the other."""

    def __init__(self, name: str, source: Path | int) -> None:
        """Open a video file, or the camera of a number; one that does not open is an `InputError`.

        Args:
            name: what the frames' ids begin with.
            source: the file or the number.
        """
        self.capture = cv2.VideoCapture(source if isinstance(source, int) else str(source))
        self.name = name
        if not self.capture.isOpened():
            what = f"camera {source}" if isinstance(source, int) else f"{source}"
            raise InputError(
                f"{what} cannot be opened: it is not there, in use, or of a kind that OpenCV does not read"
            )
        said = self.capture.get(cv2.CAP_PROP_FPS)
        self.fps = said if 1 <= said <= 1000 else FPS
        self.length = max(0, int(self.capture.get(cv2.CAP_PROP_FRAME_COUNT))) or None  # a camera has no end

    def __iter__(self) -> Iterator[tuple[str, np.ndarray]]:
        """(id, RGB image [H, W, 3]) of each frame; the id is the source's name and the frame's number from 0."""
        for number in count():
            there, frame = self.capture.read()
            if not there:
                return
            yield f"{self.name}_{number:06d}", cv2.cvtColor(frame, cv2.COLOR_BGR2RGB)

    def close(self) -> None:
        """Give the camera or the file back."""
        self.capture.release()


@contextlib.contextmanager
def writer(path: Path, fps: float) -> Iterator["Writer"]:
    """An MP4 file that pictures are added to; it is playable however the block ends."""
    made = Writer(path, fps)
    try:
        yield made
    finally:
        made.close()


class Writer:
    """An MP4 file that takes its size from its first picture."""

    def __init__(self, path: Path, fps: float) -> None:
        self.path, self.fps = path, fps
        self._file: cv2.VideoWriter | None = None

    def add(self, picture: np.ndarray) -> None:
        """Append an RGB picture [H, W, 3], all of one size."""
        if self._file is None:
            height, width = picture.shape[:2]
            self.path.parent.mkdir(parents=True, exist_ok=True)
            self._file = cv2.VideoWriter(str(self.path), cv2.VideoWriter.fourcc(*"mp4v"), self.fps, (width, height))
        self._file.write(cv2.cvtColor(picture, cv2.COLOR_RGB2BGR))

    def close(self) -> None:
        """Finish the file."""
        if self._file is not None:
            self._file.release()
