import dataclasses

import pytest

from src.evaluation.mistakes import MISTAKES
from src.report.blocks import Chart, Columns, Lead, Table
from src.report.inputs import Inputs, title
from src.report.verdict import MAP, best_first, section, sentence


def metrics(value: float | None, error: float | None = 0.01) -> dict:
    return {MAP: value, "standard_error": {} if error is None else {MAP: error}}


def costs(**most: float) -> dict[str, float]:
    return dict.fromkeys(MISTAKES, 0.0) | most


NONE = {"rcnn": costs(), "ssd300": costs(), "toy": costs()}


def test_the_best_detector_is_named_with_all_figures_and_their_errors() -> None:
    found = sentence(360, {"rcnn": metrics(0.697, 0.018), "ssd300": metrics(0.85, 0.008)}, NONE)
    assert found == "On these 360 test images SSD finds most: mAP SSD 0.850 ± 0.008, R-CNN 0.697 ± 0.018."


def test_a_difference_within_the_errors_is_no_verdict() -> None:
    """1.96 standard errors of the difference of two figures with an error of 0.01 each are 0.0277."""
    for value, level in ((0.627, True), (0.628, False)):
        found = sentence(9, {"rcnn": metrics(0.6), "ssd300": metrics(value)}, NONE)
        assert ("the errors are larger than what separates SSD and R-CNN" in found) == level
        assert ("SSD finds most" in found) != level


def test_of_three_only_those_near_the_best_are_level_with_it() -> None:
    found = sentence(9, {"rcnn": metrics(0.3), "toy": metrics(0.6), "ssd300": metrics(0.61)}, NONE)
    assert "what separates SSD and toy: mAP SSD 0.610 ± 0.010, toy 0.600 ± 0.010, R-CNN 0.300" in found


def test_one_detector_none_and_one_without_objects() -> None:
    assert "SSD is the only detector: mAP SSD 0.500." in sentence(9, {"ssd300": metrics(0.5, None)}, NONE)
    assert sentence(9, {}, {}) == "No detector was rated on these 9 test images."
    assert sentence(9, {"ssd300": metrics(None)}, NONE) == "No detector was rated on these 9 test images."
    assert "SSD is the only" in sentence(9, {"rcnn": metrics(None), "ssd300": metrics(0.5)}, NONE)


@pytest.mark.parametrize(
    ("rcnn", "ssd", "words"),
    [
        (costs(localisation=0.123), costs(localisation=0.03), "lost to misplaced boxes (SSD 0.030, R-CNN 0.123)."),
        (
            costs(background=0.2, confusion=0.1),
            costs(missed=0.03),  # SSD is the better one, so it comes first
            "lost to objects without any box near them (SSD 0.030) "
            "and to background taken for an object (R-CNN 0.200).",
        ),
        (costs(localisation=0.1), costs(confusion=0.0004), "lost to misplaced boxes (R-CNN 0.100)."),
    ],
)
def test_the_kind_of_mistake_that_costs_most_is_named(rcnn: dict, ssd: dict, words: str) -> None:
    detectors = {"rcnn": metrics(0.6), "ssd300": metrics(0.8)}
    assert sentence(9, detectors, {"rcnn": rcnn, "ssd300": ssd}).endswith(f"; most is {words}")


def test_the_section_begins_with_the_sentence_and_a_chart_of_every_detector(inputs: Inputs) -> None:
    lead, columns, *_ = section(inputs).blocks
    figures = {name: inputs.figures("*.json")[name] for name in inputs.detections}
    assert isinstance(lead, Lead)
    assert lead.text == sentence(len(inputs.test_ids), figures, inputs.costs)
    assert isinstance(columns, Columns)
    chart, table = columns.columns[0][0], columns.columns[1][0]
    assert isinstance(chart, Chart)
    assert isinstance(table, Table)
    for name in best_first(figures):
        value = f"{figures[name][MAP]:.3f} ± {figures[name]['standard_error'][MAP]:.3f}"
        assert f">{value}</text>" in chart.svg
        assert value in chart.alt


def test_the_table_has_the_cost_of_each_kind(inputs: Inputs) -> None:
    columns = section(inputs).blocks[1]
    assert isinstance(columns, Columns)
    table = columns.columns[1][0]
    assert isinstance(table, Table)
    names = {title(name): name for name in inputs.detections}
    for row, kind in zip(table.rows, MISTAKES, strict=True):
        assert str(row[0]).startswith(f"{kind}: ")
        assert row[1:] == [f"{inputs.costs[names[name]][kind]:.3f}" for name in table.head[1:]]
    assert max(share for shades in table.shades for share in shades) == 1


def test_without_detectors_or_classifiers_one_sentence_is_left(inputs: Inputs) -> None:
    blocks = section(dataclasses.replace(inputs, stages=[])).blocks
    assert [type(block) for block in blocks] == [Lead]
