import pandas as pd
import pytest

from src.errors import InputError
from src.report.blocks import Columns, Grid, Paragraph, Subheading, Table
from src.report.confusion import SHOWN, section
from src.report.inputs import Inputs
from tests.report.conftest import flat


def test_the_matrix_counts_and_shades_rows(inputs: Inputs) -> None:
    table = next(block for block in flat(section(inputs).blocks) if isinstance(block, Table))
    said = inputs.tables("plots/confusion_*.csv")["mobilenet_v3"]
    for number, row in enumerate(table.rows):
        of_class = said[said["actual"] == str(number)]
        assert sum(count or 0 for count in row[1:]) == len(of_class)
        assert (row[1 + number] or 0) == (of_class["predicted"] == str(number)).sum()
        assert sum(table.shades[number]) == pytest.approx(float(len(of_class) > 0))
    right = (said["actual"] == said["predicted"]).sum()
    assert table.caption == f"MobileNetV3: {right} of {len(said)} test images right"


def test_a_matrix_of_digits_has_its_mistakes_beside_it(inputs: Inputs) -> None:
    assert [type(block) for block in section(inputs).blocks][:3] == [Paragraph, Subheading, Columns]


def test_the_surest_mistakes_come_first(inputs: Inputs) -> None:
    pictures = next(block for block in flat(section(inputs).blocks) if isinstance(block, Grid)).blocks
    scores = [float(picture.caption.split("score ")[1]) for picture in pictures]
    assert 0 < len(scores) <= SHOWN
    assert scores == sorted(scores, reverse=True)


def test_a_classifier_without_mistakes_says_so(inputs: Inputs, monkeypatch) -> None:
    right = pd.DataFrame({"actual": ["1"], "predicted": ["1"], "label": ["1"], "path": ["1/0.png"], "score": [1.0]})
    monkeypatch.setattr(Inputs, "tables", lambda self, pattern: dict.fromkeys(("mobilenet_v3", "resnet50"), right))
    blocks = list(flat(section(inputs).blocks))
    assert not [block for block in blocks if isinstance(block, Grid)]
    assert [block.text for block in blocks if isinstance(block, Paragraph)][1:] == [
        "No test image was taken for another class."
    ] * 2


def test_a_data_set_that_no_stage_prepares_is_named(inputs: Inputs, monkeypatch) -> None:
    monkeypatch.setitem(inputs.classifiers["resnet50"], "data", "faces")
    with pytest.raises(InputError, match="'faces'.*voc, mnist, gesture"):
        section(inputs)
