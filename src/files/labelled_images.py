"""Prepared images with one label each, for the classifiers.

An image id is the path of the image in its data set, because two classes may have files of the same name.
"""

from src.files.prepared import Prepared


class LabelledImages(Prepared):
    """A prepared data set whose images have a `label`; there is no background."""

    def label(self, image_id: str) -> int:
        """Return the label of an image, an index into `classes`."""
        return int(self._images[image_id]["label"])
