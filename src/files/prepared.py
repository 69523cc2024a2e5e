"""A prepared data set: one zip with every image as it was encoded and one index, for random access.

`index.json` holds `classes`, `splits` (name -> image ids) and `images` (id -> the image's file and annotations). The
stage `prepare` writes it. All later stages read it, with `src.files.boxed_images` if the images have boxes and with
`src.files.labelled_images` if they have labels.
"""

import json
import os
import zipfile
from collections.abc import Iterable, Iterator, Mapping, Sequence
from functools import cache
from pathlib import Path
from typing import Any, NamedTuple

import cv2
import numpy as np

from src.errors import InputError
from src.files.damage import told
from src.files.storage import write_zip

INDEX = "index.json"


def decode_image(content: bytes) -> np.ndarray | None:
    """Decode bytes to an RGB image, uint8 [H, W, 3]; None if they are not an image, or one of too many pixels.

    The limit is 200 million pixels (`pin` in stages/arithmetic.py): OpenCV reads it when it is loaded.

    Only this function converts from OpenCV's BGR. The EXIF rotation is ignored: boxes refer to the stored pixels.
    """
    if not content:  # OpenCV raises an error for no bytes, and returns None for wrong ones
        return None
    try:
        return cv2.imdecode(np.frombuffer(content, np.uint8), cv2.IMREAD_COLOR_RGB | cv2.IMREAD_IGNORE_ORIENTATION)
    except (cv2.error, MemoryError):  # the size in the header is beyond the limit, which OpenCV looks at first
        return None


def write_prepared(
    path: str | Path,
    classes: Sequence[str],
    splits: Mapping[str, Sequence[str]],
    images: Mapping[str, Mapping[str, Any]],
    contents: Iterable[tuple[str, bytes]],
) -> None:
    """Write a prepared data set.

    Args:
        classes: names, without background; label k is `classes[k - 1]` for boxes and `classes[k]` for whole images.
        splits: image ids by split.
        images: id -> plain lists and numbers: {file, height, width, boxes, labels, difficult}, or {file, label}.
        contents: (file, encoded bytes), in the order of the zip.
    """
    index = {"classes": list(classes), "splits": {name: list(ids) for name, ids in splits.items()}, "images": images}
    header = (INDEX, json.dumps(index, indent=None, sort_keys=True).encode())
    write_zip(path, (entry for part in ([header], contents) for entry in part))


class DataSet(NamedTuple):
    """A data set that was read and checked: the arguments of `write_prepared` after its path, in their order."""

    classes: list[str]
    splits: dict[str, list[str]]
    images: dict[str, dict[str, Any]]
    contents: Iterator[tuple[str, bytes]]

    def write(self, path: Path) -> None:
        """Write the prepared data set."""
        write_prepared(path, *self)

    def summary(self) -> str:
        """Describe in one line the numbers of images, of objects (if the images have boxes) and of classes."""
        splits = ", ".join(f"{name} {len(ids)}" for name, ids in self.splits.items())
        boxed = [entry["difficult"] for entry in self.images.values() if "difficult" in entry]
        objects = f", {sum(map(len, boxed))} objects ({sum(map(sum, boxed))} difficult)" if boxed else ""
        return f"{len(self.images)} images ({splits}){objects} of {len(self.classes)} classes"


class Prepared:
    """A prepared data set, opened for reading.

    Each process opens the file itself, both after a spawn and after a fork: forked processes that share an open file
    also share the position in it, and would read each other's bytes.
    """

    def __init__(self, path: str | Path) -> None:
        self.path = Path(path)
        self._archive: zipfile.ZipFile | None = None
        self._process = 0  # id of the process that opened the archive
        with told(self.path, "prepared data set", self._remedy()):
            index = json.loads(self._read(INDEX))
            self.classes: list[str] = index["classes"]
            self.splits: dict[str, list[str]] = index["splits"]
            self._images: dict[str, dict[str, Any]] = index["images"]

    def ids(self, *splits: str) -> list[str]:
        """Return the image ids of the splits in order, each once.

        An unknown split is an `InputError` that lists the known ones.
        """
        for split in splits:
            if split not in self.splits:
                raise InputError(f"{self.path} has no split '{split}', only {', '.join(self.splits)}")
        return list(dict.fromkeys(image_id for split in splits for image_id in self.splits[split]))

    def image(self, image_id: str) -> np.ndarray:
        """Read an image as RGB, uint8 [H, W, 3]; a grey image has three equal channels."""
        if image_id not in self._images:
            raise InputError(f"{self.path} has no image {image_id}: {self._remedy()}")
        with told(self.path, "prepared data set", self._remedy()):
            image = decode_image(self._read(self._images[image_id]["file"]))
        if image is None:
            raise InputError(f"{self.path}: image {image_id} does not decode; {self._remedy()}")
        return image

    def _read(self, name: str) -> bytes:
        """Return an entry; zipfile compares its checksum."""
        if self._zip.getinfo(name).compress_type != zipfile.ZIP_STORED:
            raise ValueError(f"{name} is compressed")
        return self._zip.read(name)

    def _remedy(self) -> str:
        return f"run `dvc repro -f prepare@{self.path.stem}`"

    @property
    def _zip(self) -> zipfile.ZipFile:
        if self._archive is None or self._process != os.getpid():
            self._archive, self._process = zipfile.ZipFile(self.path), os.getpid()
        return self._archive

    def __reduce__(self) -> tuple[Any, ...]:
        """Send the path alone to another process, which opens each set once: the index takes 2.4 kB per image."""
        written = self.path.stat()
        return _opened, (type(self), self.path, written.st_mtime_ns, written.st_size)


@cache
def _opened(kind: type[Prepared], path: Path, *written: int) -> Prepared:
    """Open a set once per process, and again if another one is `written` in its place."""
    return kind(path)
