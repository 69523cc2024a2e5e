import base64

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from src.files.prepared import decode_image
from src.report.pictures import COLOURS, LOST, RIGHT, TRUE, WRONG, Drawn, with_boxes

GREY = np.full((60, 90, 3), 128, np.uint8)


def pixels(uri: str) -> np.ndarray:
    assert uri.startswith("data:image/webp;base64,")
    found = decode_image(base64.b64decode(uri.split(",")[1]))
    assert found is not None
    return found


def count_near(image: np.ndarray, colour: tuple[int, int, int]) -> int:
    return int((np.abs(image.astype(int) - colour).max(axis=2) < 60).sum())


def test_the_longer_side_has_the_size_asked_for() -> None:
    uri, size = with_boxes(GREY, [], side=180)
    assert size == (120, 180)
    assert pixels(uri).shape == (120, 180, 3)
    assert with_boxes(GREY.transpose(1, 0, 2), [], side=30)[1] == (30, 20)
    assert with_boxes(np.zeros((1, 500, 3), np.uint8), [], side=100)[1] == (1, 100)


@pytest.mark.parametrize("look", [TRUE, RIGHT, WRONG])
def test_a_box_has_its_colour_and_is_where_it_belongs(look: str) -> None:
    image = pixels(with_boxes(GREY, [Drawn([30, 20, 60, 40], look)], side=270)[0])
    inside, outside = image[50:130, 80:190], np.concatenate([image[:40], image[140:]])
    assert count_near(inside, COLOURS[look]) > 50
    assert count_near(outside, COLOURS[look]) == 0


def test_what_is_there_is_dashed_and_what_was_said_is_not() -> None:
    def coloured(look: str) -> int:
        return count_near(pixels(with_boxes(GREY, [Drawn([10, 10, 80, 50], look)])[0]), COLOURS[look])

    assert coloured(LOST) < 0.8 * coloured(WRONG)


numbers = st.floats(-50, 150, width=32)


@given(st.tuples(numbers, numbers, numbers, numbers), st.sampled_from(list(COLOURS)), st.text("abc é", max_size=40))
def test_any_box_can_be_drawn(box, look, text) -> None:
    assert with_boxes(GREY, [Drawn(box, look, text)], side=60)[1] == (40, 60)
    assert (GREY == 128).all()  # the image itself is not changed
