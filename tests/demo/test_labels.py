import numpy as np

from src.boxes.overlap import iou
from src.demo.labels import Name, place_names


def corners(names: list[Name]) -> np.ndarray:
    rows = [[name.left, name.top, name.left + name.width, name.top + name.height] for name in names]
    return np.array(rows, np.float64).reshape(-1, 4)


def test_no_two_names_overlap_and_all_are_in_the_picture() -> None:
    rng = np.random.default_rng(0)
    for count in (0, 1, 5, 40):
        first = rng.uniform(0, 200, (count, 2))
        boxes = np.concatenate([first, first + rng.uniform(1, 90, (count, 2))], axis=1)
        places = corners(place_names(["boat 0.50"] * count, boxes, (200, 240), 10))
        assert count == 0 or 0 < len(places) <= count
        assert not np.triu(iou(places, places), 1).any()
        assert (places >= 0).all()
        assert (places <= [240, 200, 240, 200]).all()


def test_the_first_name_stands_in_its_corner_and_an_equal_box_gets_another_one() -> None:
    boxes = np.array([[10, 20, 90, 80], [10, 20, 90, 80]], np.float32)
    first, second = place_names(["car 0.9", "car 0.8"], boxes, (100, 100), 5)
    assert (first.text, first.left, first.top) == ("car 0.9", 10, 20)
    assert (second.left + second.width, second.top) == (90, 20)


def test_what_fits_nowhere_and_what_has_no_text_is_left_out() -> None:
    box = np.array([[0, 0, 20, 20]], np.float32)
    assert place_names(["a name that is too long"], box, (20, 20), 5) == []
    assert place_names([""], box, (20, 20), 5) == []
