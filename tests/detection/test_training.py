import numpy as np
import pytest

from src.detection.training import average_precision
from src.errors import InputError
from src.files.boxed_images import BoxedImages
from src.files.records import Record
from tests.rcnn.conftest import images  # noqa: F401 (a fixture)


def record(*boxes: list[int]) -> Record:
    """Detections of the first class."""
    ones = np.ones(len(boxes), np.float32)
    return {"boxes": np.array(boxes, np.float32).reshape(-1, 4), "labels": ones.astype(int), "scores": ones}


def test_classes_without_an_object_do_not_count(images: BoxedImages) -> None:  # noqa: F811
    assert average_precision({"difficult": record([40, 10, 60, 30])}, images) == 1.0  # it has no square
    assert average_precision({"two_classes": record([10, 10, 40, 40])}, images) == 0.5


def test_without_an_object_there_is_no_map(images: BoxedImages) -> None:  # noqa: F811
    with pytest.raises(InputError, match=r"tiny\.zip: no validation image has an object.*use val_loss"):
        average_precision({"empty": record()}, images)
