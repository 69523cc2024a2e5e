"""Prepared images with boxes around their objects, for the detectors."""

import numpy as np

from src.boxes.target import Target
from src.files.prepared import Prepared


class BoxedImages(Prepared):
    """A prepared data set whose images have `height`, `width`, `boxes`, `labels` and `difficult`."""

    @property
    def num_classes(self) -> int:
        """The number of classes, including background, which is label 0."""
        return len(self.classes) + 1

    def size(self, image_id: str) -> tuple[int, int]:
        """Return (height, width) of an image, without decoding it."""
        return self._images[image_id]["height"], self._images[image_id]["width"]

    def target(self, image_id: str) -> Target:
        """Return the objects of an image: boxes [M, 4], labels [M], difficult [M]; M may be 0."""
        entry = self._images[image_id]
        return {
            "boxes": np.asarray(entry["boxes"], np.float32).reshape(-1, 4),
            "labels": np.asarray(entry["labels"], np.int64),
            "difficult": np.asarray(entry["difficult"], bool),
            "image_id": image_id,
        }
