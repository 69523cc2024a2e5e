import dataclasses

import numpy as np

from src.evaluation.thresholds import confusion, f1_curve
from src.report.blocks import Columns, Paragraph, Subheading, Table
from src.report.inputs import Inputs, title
from src.report.thresholds import confused, section, sentence
from tests.report.outputs import CLASSES


def test_every_detector_has_a_sentence_a_chart_and_a_table_at_its_best_threshold(inputs: Inputs) -> None:
    blocks = section(inputs).blocks
    assert [block.text for block in blocks if isinstance(block, Subheading)] == [
        title(name) for name in inputs.detections
    ]
    words = [block.text for block in blocks if isinstance(block, Paragraph)][2:]
    columns = [block for block in blocks if isinstance(block, Columns)]
    for records, text, ((chart,), (table, _)) in zip(
        inputs.detections.values(), words, (block.columns for block in columns), strict=True
    ):
        curve = f1_curve(records, inputs.targets, CLASSES)
        best = curve.best()
        assert best is not None
        assert f"{curve.f1[best]:.3f}, at a score of {curve.thresholds[best]:.2f}" in text
        assert f"highest, {curve.f1[best]:.3f}, at {curve.thresholds[best]:.2f}" in chart.alt
        assert ">score threshold</text>" in chart.svg
        assert isinstance(table, Table)
        assert table.head == ["true / predicted", *CLASSES, "missed"]
        counts = confusion(records, inputs.targets, CLASSES, float(curve.thresholds[best]))
        assert [[cell or 0 for cell in row[1:]] for row in table.rows] == counts.tolist()
        assert [row[0] for row in table.rows] == [*CLASSES, "nothing"]


def test_the_sentence_has_the_counts(inputs: Inputs) -> None:
    curve = f1_curve(inputs.detections["ssd300"], inputs.targets, CLASSES)
    true, kept = int(curve.true[-1]), int(curve.kept[-1])
    text = sentence("SSD", curve, len(curve.thresholds) - 1)
    assert f"{true} of {kept} detections are right" in text
    assert f"{true} of {curve.objects} objects are found" in text


def test_a_detector_that_finds_nothing_has_a_sentence_and_no_chart(inputs: Inputs, monkeypatch) -> None:
    nothing = {
        "boxes": np.zeros((0, 4), np.float32),
        "labels": np.zeros(0, np.int64),
        "scores": np.zeros(0, np.float32),
    }
    monkeypatch.setattr(Inputs, "detections", {"toy": dict.fromkeys(inputs.test_ids, nothing)})
    blocks = section(dataclasses.replace(inputs)).blocks
    assert blocks[-1] == Paragraph("toy finds no object at any threshold.")


def test_confusions_are_counted_in_words() -> None:
    assert (
        confused(np.array([[5, 0, 1], [0, 7, 0], [1, 1, 0]]), ["car", "cat"])
        == "No object was taken for another class."
    )
    one = confused(np.array([[5, 0, 1], [1, 7, 0], [1, 1, 0]]), ["car", "cat"])
    assert one == "1 detection has the wrong class: cat taken for car (1)."
