import numpy as np
import pytest

from src.files.prepared import decode_image
from src.pictures.canvas import FOUND, draw_box, png, row

GREY = np.full((60, 90, 3), 128, np.uint8)


def near(content: bytes, colour: str) -> int:
    rgb = [int(colour[start : start + 2], 16) for start in (1, 3, 5)]
    image = decode_image(content)
    assert image is not None
    return int((np.abs(image.astype(int) - rgb).max(axis=2) < 40).sum())


@pytest.mark.parametrize("number", [1, 3])
def test_images_stand_side_by_side_in_the_width_asked_for(number: int) -> None:
    image = decode_image(png(row([GREY] * number, ["title"] * number, width=600, legend="words")[0]))
    assert image is not None
    assert image.shape[1] == 600


def test_a_box_is_drawn_where_it_is_and_stays_in_its_image() -> None:
    def drawn(*boxes: tuple[float, float, float, float]) -> bytes:
        figure, panels = row([GREY, GREY], ["left", "right"], width=600)
        for box in boxes:
            draw_box(panels[0], box, FOUND)
        return png(figure)

    assert near(drawn(), FOUND) == 0
    assert near(drawn((10, 10, 50, 50)), FOUND) > 200
    assert near(drawn((200, 10, 250, 50)), FOUND) == 0  # it would lie in the other image


def test_the_same_figure_gives_the_same_bytes() -> None:
    first, second = (png(row([GREY], ["title"], width=300)[0]) for _ in range(2))
    assert first == second
    assert b"Software" not in first
