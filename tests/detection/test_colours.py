import colorsys

import cv2
import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from src.detection.colours import distort


def drawn(monkeypatch: pytest.MonkeyPatch, chosen: list[bool], sizes: list[float], *, contrast_last: bool) -> None:
    """Replace the three draws of `distort`: sizes, chosen steps, and if contrast comes last."""
    draws = iter(
        [
            torch.tensor(sizes),
            torch.tensor([0.0 if one else 1.0 for one in chosen]),
            torch.tensor(0.0 if contrast_last else 1.0),
        ]
    )
    monkeypatch.setattr(torch, "rand", lambda *_: next(draws))


@pytest.fixture
def image() -> np.ndarray:
    return np.random.default_rng(0).integers(0, 256, (20, 30, 3), np.uint8)


@pytest.mark.parametrize(
    ("step", "size", "expected"),
    [
        (0, 1.0, lambda x: x + 32),
        (0, 0.0, lambda x: x - 32),
        (1, 1.0, lambda x: x * 1.5),
        (1, 0.0, lambda x: x * 0.5),
    ],
)
@pytest.mark.parametrize("contrast_last", [False, True])
def test_brightness_and_contrast_reach_the_released_ranges(
    monkeypatch: pytest.MonkeyPatch, image: np.ndarray, step: int, size: float, expected: object, contrast_last: bool
) -> None:
    drawn(monkeypatch, [index == step for index in range(4)], [size] * 4, contrast_last=contrast_last)
    wanted = expected(image.astype(np.float32)).round().clip(0, 255)  # type: ignore[operator]
    np.testing.assert_array_equal(distort(image), wanted)


@pytest.mark.parametrize("contrast_last", [False, True])
@pytest.mark.parametrize("size", [0.0, 0.2, 1.0])
def test_contrast_comes_before_hue_and_saturation_or_last(
    monkeypatch: pytest.MonkeyPatch, image: np.ndarray, size: float, contrast_last: bool
) -> None:
    """The oracle does one step after the other; each rounds to bytes, so the orders differ."""
    between, around = np.float32(0.5 + size), np.float32(2 * size - 1)

    def brightness(x: np.ndarray) -> np.ndarray:
        return (x.astype(np.float32) + 32 * around).round().clip(0, 255).astype(np.uint8)

    def contrast(x: np.ndarray) -> np.ndarray:
        return (x.astype(np.float32) * between).round().clip(0, 255).astype(np.uint8)

    def hue_and_saturation(x: np.ndarray) -> np.ndarray:
        hsv = cv2.cvtColor(x, cv2.COLOR_RGB2HSV).astype(np.float32)
        hsv[..., 0] = (hsv[..., 0] + (18 * around).round()) % 180
        hsv[..., 1] = (hsv[..., 1] * between).round().clip(0, 255)
        return cv2.cvtColor(hsv.astype(np.uint8), cv2.COLOR_HSV2RGB)

    orders = {
        False: hue_and_saturation(contrast(brightness(image))),
        True: contrast(hue_and_saturation(brightness(image))),
    }
    assert not np.array_equal(orders[False], orders[True])
    drawn(monkeypatch, [True] * 4, [size] * 4, contrast_last=contrast_last)
    np.testing.assert_array_equal(distort(image), orders[contrast_last])


@pytest.mark.parametrize(("size", "factor"), [(1.0, 1.5), (0.0, 0.5)])
def test_saturation_reaches_the_released_range(monkeypatch: pytest.MonkeyPatch, size: float, factor: float) -> None:
    drawn(monkeypatch, [False, False, True, False], [size] * 4, contrast_last=False)
    found = distort(np.array([[[200, 120, 120]]], np.uint8))[0, 0] / 255
    hue, saturation, value = colorsys.rgb_to_hsv(*found)
    assert saturation == pytest.approx(0.4 * factor, abs=0.02)
    assert (hue, value) == pytest.approx((0, 200 / 255), abs=0.01)


@pytest.mark.parametrize(("size", "degrees"), [(1.0, 36), (0.0, 324), (0.5, 0)])
def test_hue_goes_round_by_at_most_a_tenth_of_the_circle(
    monkeypatch: pytest.MonkeyPatch, size: float, degrees: float
) -> None:
    drawn(monkeypatch, [False, False, False, True], [size] * 4, contrast_last=False)
    found = distort(np.array([[[255, 0, 0]]], np.uint8))[0, 0] / 255
    assert colorsys.rgb_to_hsv(*found)[0] * 360 == pytest.approx(degrees, abs=2)


def test_nothing_chosen_is_nothing_changed(monkeypatch: pytest.MonkeyPatch, image: np.ndarray) -> None:
    drawn(monkeypatch, [False] * 4, [1.0] * 4, contrast_last=True)
    np.testing.assert_array_equal(distort(image), image)


@settings(max_examples=60)
@given(seed=st.integers(0, 10_000), grey=st.integers(0, 255))
def test_grey_stays_grey_and_in_the_range_of_brightness_and_contrast(seed: int, grey: int) -> None:
    torch.manual_seed(seed)
    before = np.full((4, 5, 3), grey, np.uint8)
    found = distort(before)
    assert found.shape == before.shape
    assert found.dtype == np.uint8
    assert (before == grey).all()
    assert found.min() == found.max()
    assert 0.5 * max(grey - 32, 0) - 1 <= found[0, 0, 0] <= 1.5 * (grey + 32) + 1


def test_each_step_is_taken_half_of_the_time() -> None:
    torch.manual_seed(0)
    before = np.full((1, 1, 3), 128, np.uint8)
    same = sum(bool((distort(before) == before).all()) for _ in range(2000))
    assert same / 2000 == pytest.approx(0.25, abs=0.03)  # of grey, brightness and contrast are what is seen
