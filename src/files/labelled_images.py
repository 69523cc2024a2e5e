"""Prepared images with one label each, for the classifiers.

An image id is the path that the image has in its data set, so that files of the same name in two classes stay two
images.
"""

from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

from src.files.prepared import Prepared, write_prepared


class LabelledData(NamedTuple):
    """The arguments of `src.files.prepared.write_prepared` behind its path, in their order."""

    classes: list[str]
    splits: dict[str, list[str]]
    images: dict[str, dict[str, Any]]
    contents: Iterator[tuple[str, bytes]]

    def write(self, path: Path) -> None:
        """Write the prepared data set; no image is in two splits."""
        write_prepared(path, *self)

    def summary(self) -> str:
        """A line that says how many images and classes there are."""
        splits = ", ".join(f"{name} {len(ids)}" for name, ids in self.splits.items())
        return f"{len(self.images)} images ({splits}) of {len(self.classes)} classes"


class LabelledImages(Prepared):
    """A prepared data set whose images have a `label`; there is no background."""

    def label(self, image_id: str) -> int:
        """Index into `classes`."""
        return int(self._images[image_id]["label"])
