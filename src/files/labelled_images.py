"""Prepared images with one label each, for the classifiers.

An image id is the path that the image has in its data set, so that files of the same name in two classes stay two
images.
"""

from src.files.prepared import Prepared


class LabelledImages(Prepared):
    """A prepared data set whose images have a `label`; there is no background."""

    def label(self, image_id: str) -> int:
        """Index into `classes`."""
        return int(self._images[image_id]["label"])
