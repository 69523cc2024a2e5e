import numpy as np
import pytest

from src.files.records import Record
from src.prediction.drawing import PALETTE, above, colour, draw_classes, draw_detections

RECORD: Record = {
    "boxes": np.array([[10, 20, 50, 60], [40, 40, 90, 95]], np.float32),
    "labels": np.array([1, 2]),
    "scores": np.array([0.9, 0.4], np.float32),
}


def test_each_box_has_the_colour_of_its_class_on_its_own_border() -> None:
    image = np.zeros((100, 100, 3), np.uint8)
    picture = draw_detections(image, RECORD, ["car", "boat"])
    assert not image.any(), "the photo itself stays as it is"
    assert tuple(picture[59, 30]) == colour(1)
    assert tuple(picture[60, 30]) == (0, 0, 0), "boxes are half-open"
    assert tuple(picture[70, 89]) == colour(2)


@pytest.mark.parametrize("box", [[-20, -20, -5, -5], [95, 95, 200, 200], [0, 0, 0, 0]])
def test_boxes_at_and_beyond_the_border_are_drawn_without_complaint(box: list[float]) -> None:
    record = {name: values[:1] for name, values in RECORD.items()} | {"boxes": np.array([box], np.float32)}
    assert draw_detections(np.zeros((100, 100, 3), np.uint8), record, ["car"]).shape == (100, 100, 3)


def test_without_detections_the_picture_is_the_photo() -> None:
    image = np.full((40, 50, 3), 7, np.uint8)
    none = above(RECORD, 1.0)
    assert [len(values) for values in none.values()] == [0, 0, 0]
    np.testing.assert_array_equal(draw_detections(image, none, ["car", "boat"]), image)


def test_only_scores_above_the_threshold_are_kept() -> None:
    assert above(RECORD, 0.4)["labels"].tolist() == [1]


def test_colours_come_round_again() -> None:
    assert colour(1) == colour(1 + len(PALETTE)) != colour(2)


def test_classes_are_written_below_even_a_tiny_image() -> None:
    picture = draw_classes(np.zeros((8, 8, 3), np.uint8), np.array([0.1, 0.7, 0.2]), ["zero", "one", "two"])
    assert picture.shape[1] == 160
    assert picture.shape[0] > 160
    assert (picture[160:] == 255).any()
    assert (picture[160:] == 0).any()
