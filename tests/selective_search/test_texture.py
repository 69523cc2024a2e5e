import numpy as np
import pytest

from src.selective_search.texture import both_signs, texture_bins
from tests.selective_search.pictures import SHAPES, noise

FLAT = 0  # the bin of a derivative that is 0
STEEP = 9
FALLING = 10  # the bin of the lowest derivative


def test_a_plain_image_has_no_texture() -> None:
    assert (texture_bins(np.full((9, 12, 1), 77, np.uint8))[:2] == np.array([0, 20])[:, None, None, None]).all()


def test_a_step_rises_along_x_and_along_both_diagonals() -> None:
    image = np.zeros((40, 40, 1), np.uint8)
    image[:, 20:] = 200
    along_x, along_y, *diagonals = texture_bins(image)[:, 10:30, 10:30, 0] - np.arange(0, 80, 20)[:, None, None]
    assert (along_x[:, 9:11] == STEEP).all()
    assert (np.delete(along_x, [9, 10], axis=1) == FLAT).all()
    assert (along_y == FLAT).all()
    for diagonal in diagonals:
        assert not np.isin(diagonal[:, 9:11], [FLAT, 19]).any()
        assert np.isin(diagonal[:, [0, -1]], [FLAT, 19]).all()


def test_the_mirror_image_falls_where_the_image_rises() -> None:
    image = np.zeros((40, 40, 1), np.uint8)
    image[:, :20] = 200
    assert (texture_bins(image)[0, :, 19:21, 0] == FALLING).all()


def test_each_channel_has_bins_of_its_own() -> None:
    image = noise(30, 20)
    together = texture_bins(image)
    for channel in range(3):
        alone = texture_bins(image[..., channel : channel + 1])[..., 0] % 20
        np.testing.assert_array_equal(together[..., channel] % 20, alone)
        first = 20 * (3 * np.arange(4) + channel)
        np.testing.assert_array_equal(
            together[..., channel] // 20 * 20, np.broadcast_to(first[:, None, None], (4, 30, 20))
        )


def test_a_derivative_of_one_sign_is_0_in_the_other() -> None:
    parts = np.zeros((1, 2, 2, 10), np.uint32)
    parts[0, 0, 0, [0, 3]] = 5, 2  # seven pixels rise, four fall
    parts[0, 0, 1, [0, 9]] = 1, 3
    parts[0, 1, 0, 0] = 11  # in the second direction no pixel falls
    whole = both_signs(parts.reshape(1, -1)).reshape(parts.shape)
    assert (whole.sum(axis=3) == 11).all()
    assert whole[0, 0, 0].tolist() == [9, 0, 0, 2, 0, 0, 0, 0, 0, 0]
    assert whole[0, 0, 1].tolist() == [1, 0, 0, 0, 0, 0, 0, 0, 0, 10]
    assert whole[0, 1, 1, 9] == 11


@pytest.mark.parametrize(("height", "width"), SHAPES)
def test_any_shape_has_bins(height: int, width: int) -> None:
    bins = texture_bins(noise(height, width))
    assert bins.shape == (4, height, width, 3)
    assert bins.max() < 4 * 3 * 20
