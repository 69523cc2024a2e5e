"""The rules of the verdict, case by case; tests/commands/test_compare.py tests the command that shows it."""

import math

import pytest

from src.evaluation.verdict import BAND_DEVIATIONS, SMALLEST_BAND, WORDS, Change, band, word

SEED = 0.01  # two trainings then differ by 0.0277 by chance


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        (Change(0.5, 0.5, same_outputs=True, interval=(0, 0)), "same"),
        (Change(0.5, 0.5, same_outputs=False, interval=(-0.1, 0.1)), "noise"),  # equal, from other detections
        (Change(0.5, 0.53, interval=(0.001, 0.06), seed=SEED), "better"),
        (Change(0.53, 0.5, interval=(-0.06, -0.001), seed=SEED), "worse"),
        (Change(0.5, 0.53, interval=(0.0, 0.06), seed=SEED), "noise"),  # 0 does not lie outside
        (Change(0.5, 0.527, interval=(0.001, 0.06), seed=SEED), "noise"),  # another seed can make this difference
        (Change(0.5, 0.527, interval=(0.001, 0.06), seed=SEED, same_models=True), "better"),  # no new training
        (Change(0.5, 0.527, interval=(0.001, 0.06)), "better"),  # the deviation of trainings is not known
    ],
)
def test_with_an_interval(change: Change, expected: str) -> None:
    assert word(change) == expected


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        (Change(0.5, 0.6, errors=(0.03, 0.03), seed=SEED), "better"),  # 1.96 times 0.042 is 0.083
        (Change(0.5, 0.58, errors=(0.03, 0.03), seed=SEED), "noise"),
        (Change(0.5, 0.6, errors=(0.03, 0.03), seed=0.04), "noise"),
        (Change(0.5, 0.6, errors=(None, 0.03), seed=SEED), "better"),  # only the seed deviation is known
        (Change(0.5, 0.52, errors=(None, None), seed=SEED), "noise"),
        (Change(0.5, 0.6, errors=(None, None)), "unknown"),
        (Change(0.5, 0.6, errors=(None, None), same_models=True), "unknown"),
        (Change(0.5, 0.5, errors=(0.0, 0.0)), "noise"),
    ],
)
def test_without_an_interval(change: Change, expected: str) -> None:
    assert word(change) == expected


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        (Change(None, 0.5), "new"),
        (Change(0.5, None), "gone"),
        (Change(None, None, same_outputs=True), "same"),
        (Change(None, None), "unknown"),
    ],
)
def test_a_metric_of_one_side_or_none(change: Change, expected: str) -> None:
    assert word(change) == expected
    assert expected in WORDS


def test_the_band_is_three_deviations_of_a_difference_and_never_narrower_than_its_floor() -> None:
    assert band({}) == band({"seed": 0.001, "trainings": 9}) == SMALLEST_BAND
    assert band({"seed": 0.02, "arithmetic": 0.01}) == BAND_DEVIATIONS * math.sqrt(2) * 0.02
    assert band({"arithmetic": 0.05}) == BAND_DEVIATIONS * math.sqrt(2) * 0.05
