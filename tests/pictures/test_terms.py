from pathlib import Path

import numpy as np
import pytest

from src.errors import InputError
from src.pictures.terms import most_moved, pictures
from tests.pictures.toy import write_run


def detected(shift: dict[int, int], score: float) -> dict[str, dict[str, np.ndarray]]:
    """Return a detection for each object of the scene 000003, shifted by a number of pixels, and none elsewhere."""
    boxes = np.array([[5, 20, 50, 80], [60, 30, 100, 90], [110, 40, 150, 100]], np.float32)
    boxes[:, [0, 2]] += [[shift.get(number, 0)] for number in range(3)]
    nothing = {"boxes": boxes[:0], "labels": np.zeros(0, int), "scores": np.zeros(0)}
    found = {"boxes": boxes, "labels": np.array([1, 2, 2]), "scores": np.full(3, score)}
    return {"000001": nothing, "000002": nothing, "000003": found}


def test_box_regression_is_shown_on_the_box_that_it_moved_most_towards_its_object(tmp_path: Path) -> None:
    run = write_run(tmp_path)
    before = detected({0: 2, 1: 14, 2: 6}, 1.0)
    assert most_moved(run, before, detected({}, 1.0)) == ("000003", 1)
    assert most_moved(run, before, detected({1: 12}, 1.0)) == ("000003", 2)  # object 1 is not covered well after it
    assert most_moved(run, before, detected({}, 2.0)) == ("000002", 0)  # other scores: other regions


def test_without_any_object_each_picture_that_needs_one_names_the_file(tmp_path: Path) -> None:
    run = write_run(tmp_path, {"000001": []})
    for name in ("iou", "anchor", "default_box", "precision_recall"):
        with pytest.raises(InputError, match=r"voc\.zip: no "):
            pictures(None)[name](run)  # type: ignore[arg-type]
