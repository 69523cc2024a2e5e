from src.report.inputs import Inputs
from src.report.proposals import section


def test_recall_by_iou_and_by_number_for_every_method_and_the_windows(inputs: Inputs) -> None:
    by_iou, by_count = section(inputs).blocks[-1].blocks
    for chart in (by_iou, by_count):
        for name in ("selective search", "RPN", "RPN before training"):
            assert f">{name}</text>" in chart.svg
        assert chart.svg.count(">... sliding window</text>") == 2  # none for the untrained RPN, itself a baseline
    assert by_iou.caption == "Recall against IoU"
    assert ">first proposals per image</text>" in by_count.svg


def test_the_words_say_where_the_curves_begin_and_end(inputs: Inputs) -> None:
    table = inputs.tables("plots/recall_*.csv")["rpn"]
    assert f"RPN {table['recall'].iloc[0]:.3f} at 0.5 to" in section(inputs).blocks[-1].blocks[0].alt
