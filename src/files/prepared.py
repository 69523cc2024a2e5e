"""A prepared data set: one zip with every image as it was encoded and one index, read at random.

`index.json` holds `classes`, `splits` (name -> image ids) and `images` (id -> file, and what is known of the image).
Written by `prepare`, read by every stage behind it: `src.files.boxed_images` for boxes, `src.files.labelled_images` for labels.
"""

import json
import os
import zipfile
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import cv2
import numpy as np

from src.errors import InputError
from src.files.storage import write_zip

INDEX = "index.json"


def decode_image(content: bytes) -> np.ndarray | None:
    """Encoded bytes as an RGB image, uint8 [H, W, 3]; None where they are no image.

    The one place where OpenCV's BGR is left behind. The EXIF rotation is ignored: boxes are drawn on the stored pixels.
    """
    if not content:  # OpenCV raises for no bytes, and returns None for wrong ones
        return None
    return cv2.imdecode(np.frombuffer(content, np.uint8), cv2.IMREAD_COLOR_RGB | cv2.IMREAD_IGNORE_ORIENTATION)


def write_prepared(
    path: str | Path,
    classes: Sequence[str],
    splits: Mapping[str, Sequence[str]],
    images: Mapping[str, Mapping[str, Any]],
    contents: Iterable[tuple[str, bytes]],
) -> None:
    """Write a prepared data set.

    Args:
        classes: names, without background; label k is `classes[k - 1]` of boxes and `classes[k]` of whole images.
        splits: image ids of each split.
        images: id -> plain lists and numbers: {file, height, width, boxes, labels, difficult}, or {file, label}.
        contents: (file, encoded bytes), in the order in which they are to lie in the zip.
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
        """Say in one line how many images, objects (if it has boxes) and classes there are."""
        splits = ", ".join(f"{name} {len(ids)}" for name, ids in self.splits.items())
        boxed = [entry["difficult"] for entry in self.images.values() if "difficult" in entry]
        objects = f", {sum(map(len, boxed))} objects ({sum(map(sum, boxed))} difficult)" if boxed else ""
        return f"{len(self.images)} images ({splits}){objects} of {len(self.classes)} classes"


class Prepared:
    """A prepared data set, opened for reading.

    Each process opens the file for itself, whether the data set was sent to it (spawn) or it was forked with it: forked
    processes that share an open file also share the position in it, and read each other's bytes.
    """

    def __init__(self, path: str | Path) -> None:
        self.path = Path(path)
        self._archive: zipfile.ZipFile | None = None
        self._process = 0  # the one that opened the archive
        index = json.loads(self._zip.read(INDEX))
        self.classes: list[str] = index["classes"]
        self.splits: dict[str, list[str]] = index["splits"]
        self._images: dict[str, dict[str, Any]] = index["images"]

    def ids(self, *splits: str) -> list[str]:
        """Image ids of the splits, each once, in order; an unknown split is an error that names those there are."""
        for split in splits:
            if split not in self.splits:
                raise InputError(f"{self.path} has no split '{split}', only {', '.join(self.splits)}")
        return list(dict.fromkeys(image_id for split in splits for image_id in self.splits[split]))

    def image(self, image_id: str) -> np.ndarray:
        """RGB image, uint8 [H, W, 3]; a grey one has three equal channels."""
        image = decode_image(self._zip.read(self._images[image_id]["file"]))
        if image is None:
            again = f"run `dvc repro -f prepare@{self.path.stem}`"
            raise InputError(f"{self.path}: image {image_id} does not decode; {again}")
        return image

    @property
    def _zip(self) -> zipfile.ZipFile:
        if self._archive is None or self._process != os.getpid():
            self._archive, self._process = zipfile.ZipFile(self.path), os.getpid()
        return self._archive

    def __getstate__(self) -> dict[str, Any]:
        return {**self.__dict__, "_archive": None}
