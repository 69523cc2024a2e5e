import pandas as pd

from src.report.blocks import Grid, More, Paragraph, Subheading
from src.report.inputs import Inputs
from src.report.learning import section


def test_all_that_counts_epochs_is_there_one_quantity_a_chart(inputs: Inputs) -> None:
    blocks = section(inputs).blocks
    names = [block.text for block in blocks if isinstance(block, Subheading)]
    assert names == ["R-CNN's network", "SSD", "RPN", "Faster R-CNN", "Fast R-CNN", "MobileNetV3", "ResNet-50"]
    first = next(block for block in blocks if isinstance(block, Grid))
    assert [chart.caption for chart in first.blocks] == ["R-CNN's network: loss", "R-CNN's network: accuracy"]
    more = next(block for block in blocks if isinstance(block, More))
    assert [chart.caption for chart in more.blocks[0].blocks] == ["R-CNN's network: learning rate"]


def test_a_baseline_is_with_what_it_is_one_of_and_missing_values_are_passed_over(inputs: Inputs) -> None:
    chart = next(block for block in section(inputs).blocks if isinstance(block, Grid)).blocks[1]
    assert ">always background</text>" in chart.svg
    assert "validation from 0.9 to 0.9" in chart.alt  # the first epoch was not validated


def test_what_was_not_trained_says_so(inputs: Inputs, monkeypatch) -> None:
    nothing = {"toy": pd.DataFrame(columns=["epoch", "loss"])}
    monkeypatch.setattr(Inputs, "tables", lambda self, pattern: nothing)
    assert isinstance(section(inputs).blocks[-1], Paragraph)
    assert "Not trained" in section(inputs).blocks[-1].text


def test_the_number_of_processes_is_no_curve(inputs: Inputs, monkeypatch) -> None:
    table = pd.DataFrame({"epoch": [1, 2], "loss": [2.0, 1.0], "processes": [2, 2]})
    monkeypatch.setattr(Inputs, "tables", lambda self, pattern: {"toy": table})
    grid = next(block for block in section(inputs).blocks if isinstance(block, Grid))
    assert len(grid.blocks) == 1


def test_an_accuracy_that_ends_below_its_baseline_is_explained(inputs: Inputs, monkeypatch) -> None:
    def words(accuracy: float) -> list[str]:
        columns = {"val_accuracy": [0.1, accuracy], "val_accuracy_always_background": [0.5, 0.5]}
        table = pd.DataFrame({"epoch": [1, 2], "loss": [2.0, 1.0], **columns})
        monkeypatch.setattr(Inputs, "tables", lambda self, pattern: {"toy": table})
        return [block.text for block in section(inputs).blocks[1:] if isinstance(block, Paragraph)]

    assert words(0.6) == words(0.5) == []
    assert "0.4000 to 0.5000" in words(0.4)[0]


def test_one_main_chart_has_another_beside_it_but_not_the_learning_rate(inputs: Inputs, monkeypatch) -> None:
    table = pd.DataFrame({"epoch": [1, 2], "lr": [0.1, 0.0], "loss": [2.0, 1.0], "box_loss": [1.0, 0.5]})
    monkeypatch.setattr(Inputs, "tables", lambda self, pattern: {"toy": table})
    grid = next(block for block in section(inputs).blocks if isinstance(block, Grid))
    assert [chart.caption for chart in grid.blocks] == ["toy: loss", "toy: box loss"]
