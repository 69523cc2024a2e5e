from src.report.inputs import Inputs
from src.report.mining import section
from tests.report.outputs import CLASSES


def test_rounds_by_class_and_their_sums(inputs: Inputs) -> None:
    _, charts, table = section(inputs).blocks
    assert [chart.caption for chart in charts.blocks] == [
        "Newly hard negatives, by class",
        "Objective of the SVM, by class",
    ]
    assert "car from 9 to 4" in charts.blocks[0].alt
    number = len(CLASSES)
    assert table.rows == [
        ["1", *(count * number for count in (5, 9, 9, 3, 0, 1))],
        ["2", *(count * number for count in (5, 9, 4, 3, 0, 1))],
    ]


def test_a_pipeline_without_mining_has_no_charts(inputs: Inputs, monkeypatch) -> None:
    monkeypatch.setattr(Inputs, "tables", lambda self, pattern: {})
    assert len(section(inputs).blocks) == 1
