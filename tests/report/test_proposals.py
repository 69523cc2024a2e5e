from collections.abc import Sequence
from dataclasses import replace

from src.report.blocks import Chart, Grid, Paragraph, Picture
from src.report.inputs import Inputs
from src.report.proposals import section


def charts(inputs: Inputs) -> Sequence[Chart | Picture]:
    return next(block for block in section(inputs).blocks if isinstance(block, Grid)).blocks


def test_recall_by_iou_and_by_number_for_every_method_and_the_windows(inputs: Inputs) -> None:
    by_iou, by_count = charts(inputs)
    for chart, first in ((by_iou, "selective search"), (by_count, "selective search, random order")):
        for name in (first, "RPN", "RPN before training"):
            assert f">{name}</text>" in chart.svg
        assert chart.svg.count(">... sliding window</text>") == 2  # none for the untrained RPN, itself a baseline
    assert by_iou.caption == "Recall against IoU"
    assert ">first proposals per image</text>" in by_count.svg


def test_the_words_say_where_the_curves_begin_and_end(inputs: Inputs) -> None:
    table = inputs.tables("plots/recall_*.csv")["rpn"]
    assert f"RPN {table['recall'].iloc[0]:.3f} at 0.5 to" in charts(inputs)[0].alt


def test_a_random_order_is_said_and_only_where_there_is_one(inputs: Inputs) -> None:
    def said(inputs: Inputs) -> list[str]:
        return [block.text for block in section(inputs).blocks if isinstance(block, Paragraph)]

    assert said(inputs)[-1].startswith("Not ranked: selective search.")
    ranked = replace(inputs, unranked=())  # with selective_search.ranked
    assert len(said(ranked)) == 1
    assert "random order" not in charts(ranked)[1].svg
