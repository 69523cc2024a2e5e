import re
from xml.etree import ElementTree

import matplotlib as mpl

from src.report.charts import COLOURS, Bar, Line, bar_chart, broken, line_chart

LINES = [Line("one", [1, 2, 3], [0.1, 0.2, 0.3]), Line("two", [1, 2, 3], [0.3, float("nan"), 0.1], 1, 1)]


def chart(name: str = "test", **options) -> str:
    return line_chart(name, LINES, "epoch", "loss", **options)


def test_axes_and_lines_are_named_in_text() -> None:
    for word in ("epoch", "loss", "one", "two"):
        assert f">{word}</text>" in chart()


def test_it_is_one_element_that_takes_the_size_of_its_place() -> None:
    root = ElementTree.fromstring(chart())
    assert root.tag.endswith("svg")
    assert "width" not in root.attrib
    assert "viewBox" in root.attrib
    assert "<style" not in chart()


def test_colours_are_the_pages() -> None:
    assert "var(--line-0)" in chart()
    assert "var(--line-1)" in chart()
    assert not [colour for colour in COLOURS if colour in chart()]
    assert set(re.findall(r"#[0-9a-f]{6}", chart())) <= {"#ffffff"}


def test_ids_begin_with_the_name_and_links_follow_them() -> None:
    text = chart("mine")
    ids = re.findall(r' id="([^"]+)"', text)
    assert ids
    assert all(name.startswith("mine-") for name in ids)
    assert set(re.findall(r'(?:href="#|url\(#)([^")]+)', text)) <= set(ids)


def test_the_same_lines_make_the_same_text_whatever_the_users_settings() -> None:
    before = chart()
    with mpl.rc_context({"font.size": 20, "lines.linewidth": 9, "axes.grid": False}):
        assert chart() == before


def test_counts_are_written_out_on_a_logarithmic_axis() -> None:
    lines = [Line("recall", [1, 10, 1000], [0.1, 0.2, 0.3])]
    text = line_chart("test", lines, "proposals", "recall", log_x=True)
    assert ">10</text>" in text
    assert ">1,000</text>" in text


def test_lines_without_points_and_charts_without_lines() -> None:
    assert "<svg" in line_chart("test", [], "x", "y")
    assert ">nothing</text>" in line_chart("test", [*LINES, Line("nothing", [], [])], "x", "y")


def test_missing_values_break_the_line() -> None:
    assert broken([1, None, float("nan")])[0] == 1
    assert all(value != value for value in broken([None, float("nan")]))


def test_a_bar_is_as_long_as_its_value_and_says_it_with_its_error() -> None:
    text = bar_chart("test", [Bar("one", 0.8, 0.01), Bar("two", 0.4, None, 1)], "mAP")
    assert ">0.800 ± 0.010</text>" in text
    assert ">0.400</text>" in text
    corners = re.findall(r'<path d="M ([\d.]+) [\d.]+\s+L ([\d.]+) [^"]*" [^>]*style="fill: var\(--line-(\d)\)', text)
    (start, end, first), (start_2, end_2, second) = ((float(a), float(b), colour) for a, b, colour in corners)
    assert (first, second) == ("0", "1")
    assert start == start_2
    assert abs((end - start) / (end_2 - start_2) - 2) < 1e-3


def test_bars_without_errors_and_with_none_of_their_length() -> None:
    assert ">0.000</text>" in bar_chart("test", [Bar("nothing", 0.0, None)], "mAP")
