"""Contrast of the style sheet's colours (Web Content Accessibility Guidelines 2.2, Sec. 1.4.3 and 1.4.11)."""

import re

import pytest

from src.report.rendering import style

BLOCKS = re.findall(r":root \{(.*?)\}", str(style()), flags=re.DOTALL)
SCHEMES = dict(
    zip(("light", "dark"), (dict(re.findall(r"--([\w-]+): (#\w{6});", block)) for block in BLOCKS), strict=True)
)


def luminance(colour: str) -> float:
    shares = [int(colour[start : start + 2], 16) / 255 for start in (1, 3, 5)]
    linear = [share / 12.92 if share <= 0.04045 else ((share + 0.055) / 1.055) ** 2.4 for share in shares]
    return sum(weight * share for weight, share in zip((0.2126, 0.7152, 0.0722), linear, strict=True))


def contrast(colour: str, other: str) -> float:
    low, high = sorted((luminance(colour), luminance(other)))
    return (high + 0.05) / (low + 0.05)


@pytest.mark.parametrize("scheme", SCHEMES)
def test_words_and_lines_stand_out(scheme: str) -> None:
    colours = SCHEMES[scheme]
    for ground in ("ground", "panel"):
        for word in ("ink", "soft", "link"):
            assert contrast(colours[word], colours[ground]) >= 4.5
        for number in range(8):
            assert contrast(colours[f"line-{number}"], colours[ground]) >= 3


def test_both_schemes_have_the_same_colours() -> None:
    assert SCHEMES["light"].keys() == SCHEMES["dark"].keys()
