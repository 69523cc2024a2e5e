import dataclasses

from src.report.inputs import Inputs
from src.report.precision_recall import MOST_CLASSES, section
from tests.report.outputs import CLASSES


def test_a_chart_of_all_and_one_for_each_class_with_every_detector(inputs: Inputs) -> None:
    charts = section(inputs).blocks[-1].blocks
    assert [chart.caption.split(".")[0] for chart in charts[1:]] == CLASSES
    for chart in charts:
        assert ">recall</text>" in chart.svg
        assert ">precision</text>" in chart.svg
    for chart in charts[1:]:
        assert ">R-CNN</text>" in chart.svg
        assert ">SSD</text>" in chart.svg
    assert "car, SSD" in charts[0].svg


def test_ap_is_that_of_the_metrics(inputs: Inputs) -> None:
    ap = inputs.figures("*.json")["rcnn"]["ap"]["car"]
    assert f"R-CNN {ap:.3f}" in section(inputs).blocks[-1].blocks[1].alt


def test_many_classes_are_not_put_on_one_axis(inputs: Inputs) -> None:
    class Many:
        classes = [str(number) for number in range(MOST_CLASSES + 1)]

    charts = section(dataclasses.replace(inputs, images=Many())).blocks[-1].blocks
    assert len(charts) == MOST_CLASSES + 1
    assert "AP: R-CNN no, SSD no" in charts[0].alt  # a class without objects has no AP
