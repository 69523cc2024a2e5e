"""A prepared set of labelled images, for the classifiers: one zip with every image as it was encoded and one index.

`index.json` holds `classes`, `splits` (name -> image ids) and `images` (id -> file, label). An image id is the path
that the image has in its data set, so that files of the same name in two classes stay two images. Written by `prepare`,
read by every stage behind it.
"""

import json
import zipfile
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from src.errors import InputError
from src.samples import INDEX, decode_image
from src.storage import write_zip


def write_labelled(
    path: str | Path,
    classes: Sequence[str],
    splits: Mapping[str, Sequence[str]],
    images: Mapping[str, Mapping[str, Any]],
    contents: Iterable[tuple[str, bytes]],
) -> None:
    """Write the prepared data set.

    Args:
        classes: names; label k is `classes[k]`, there is no background.
        splits: image ids of each split; no image is in two of them.
        images: id -> {file, label}.
        contents: (file, encoded bytes), in the order in which they are to lie in the zip.
    """
    index = {"classes": list(classes), "splits": {name: list(ids) for name, ids in splits.items()}, "images": images}
    header = (INDEX, json.dumps(index, indent=None, sort_keys=True).encode())
    write_zip(path, (entry for part in ([header], contents) for entry in part))


class LabelledData(NamedTuple):
    """The arguments of `write_labelled` behind its path, in their order: what a labelled data set prepares."""

    classes: list[str]
    splits: dict[str, list[str]]
    images: dict[str, dict[str, Any]]
    contents: Iterator[tuple[str, bytes]]

    def write(self, path: Path) -> None:
        """Write the prepared data set."""
        write_labelled(path, *self)

    def summary(self) -> str:
        """A line that says how many images and classes there are."""
        splits = ", ".join(f"{name} {len(ids)}" for name, ids in self.splits.items())
        return f"{len(self.images)} images ({splits}) of {len(self.classes)} classes"


class LabelledImages:
    """A prepared data set, opened for reading; may be sent to other processes, each opens the file for itself."""

    def __init__(self, path: str | Path) -> None:
        self.path = Path(path)
        self._archive: zipfile.ZipFile | None = None
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
            raise InputError(f"{self.path}: image {image_id} does not decode; prepare the data set again")
        return image

    def label(self, image_id: str) -> int:
        """Index into `classes`."""
        return int(self._images[image_id]["label"])

    @property
    def _zip(self) -> zipfile.ZipFile:
        if self._archive is None:
            self._archive = zipfile.ZipFile(self.path)
        return self._archive

    def __getstate__(self) -> dict[str, Any]:
        return {**self.__dict__, "_archive": None}
