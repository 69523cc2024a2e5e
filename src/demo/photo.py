"""The photo on the page: a visitor's upload within size limits, or an image of a data set."""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from src.demo.figures import data_url
from src.errors import InputError
from src.prediction.photos import decode, enlarge, shrink

if TYPE_CHECKING:
    from src.demo.panels import Look  # its module imports torch

MAX_BYTES = 20_000_000
MAX_UPLOAD = 100_000_000  # bytes that the server accepts at all; for more, the page's script says so
MAX_PIXELS = 40_000_000
SCENES = "voc"  # the data set of the detectors
MAX_SIDE = 640  # pixels; larger photos are made smaller before any method runs

Objects = Sequence[tuple[str, np.ndarray]]  # a name and a box [4] in pixels of each true object


class Example(NamedTuple):
    """An image of the test split of a data set."""

    image_id: str
    image: np.ndarray  # RGB uint8 [H, W, 3]
    data: str  # the data set's name
    objects: Objects = ()

    def photo(self, number: int) -> "Photo":
        """Return a new photo of the image, on which no method has run; `number` is its place among the examples."""
        photo = Photo(self.image, self.image_id, self.data, self.objects)
        photo.number = number
        return photo


class Photo:
    """A photo and the methods' outputs for it, in memory as long as a visitor's session."""

    def __init__(self, image: np.ndarray, image_id: str, data: str | None = None, objects: Objects = ()) -> None:
        """Keep an RGB image [H, W, 3], made smaller if it is large; `data` is None for a visitor's upload."""
        self.image, self.image_id, self.data = shrink(image, MAX_SIDE), image_id, data
        self.size: tuple[int, int] = self.image.shape[:2]
        self.objects = [(name, enlarge(box[None], image.shape[:2], self.size)[0]) for name, box in objects]
        self.url = data_url(self.image)
        self.number: int | None = None  # of the example, from 0
        self.looks: dict[str, Look] = {}

    def __deepcopy__(self, memo: Any) -> "Photo":
        """Return the photo itself: all sessions begin with one photo, which stays as it is."""
        return self


class Visit:
    """Hold the photo that a visitor looks at, and the settings that hold now.

    Work on a photo stops when the visitor has chosen another one. A run asks here for the settings each time that it
    shows a result, because the visitor may have changed them since it began.
    """

    def __init__(self, photo: Photo | None, methods: Sequence[str], values: Sequence[float]) -> None:
        """Begin with a photo, whose true objects are drawn; `values` are those of all sliders, method after method."""
        self.photo = photo
        self.methods, self.values, self.truth = list(methods), list(values), True
        self.notice = ""  # about a link that does not fit this run, as HTML; it goes with the first photo
        self.refusal = ""  # the reason why there is no photo, as HTML


def handed_in(path: Path) -> Photo:
    """Read the photo of an uploaded file, and delete the file in any case.

    Raises:
        InputError: the file has more than `MAX_BYTES`, is no image, or has more than `MAX_PIXELS`.
    """
    try:
        size = path.stat().st_size
        if size > MAX_BYTES:
            raise InputError(f"the file has {size / 1e6:.1f} MB, more than the allowed {MAX_BYTES / 1e6:.0f} MB")
        return Photo(decode(path.read_bytes(), MAX_PIXELS), path.stem)
    finally:
        path.unlink(missing_ok=True)
