import dataclasses
from pathlib import Path

from src.report.inputs import Inputs
from src.report.sizes import WITH, WITHOUT, section, size_of


def test_every_stage_with_outputs_has_their_size_and_the_page_itself_none(inputs: Inputs) -> None:
    words, table = section(inputs).blocks
    names = [row[0] for row in table.rows]
    assert names == [*(stage.name for stage in inputs.stages if stage.outs and stage.name != "report"), "all"]
    svm = next(row for row in table.rows if row[0] == "train_svm")
    assert svm[1] == 3
    assert words.text == WITHOUT
    assert "seconds" not in table.head


def test_times_are_shown_where_they_are_given(inputs: Inputs, tmp_path: Path) -> None:
    (tmp_path / "times.csv").write_text("stage,seconds\npropose,12.34\ntrain_svm,3.0\n")
    words, table = section(dataclasses.replace(inputs, times=tmp_path / "times.csv")).blocks
    seconds = {row[0]: row[-1] for row in table.rows}
    assert (seconds["propose"], seconds["finetune"], seconds["all"]) == ("12.3", None, "15.3")
    assert words.text == WITH


def test_the_size_of_a_folder_is_that_of_all_files_in_it(tmp_path: Path) -> None:
    (tmp_path / "deep").mkdir()
    (tmp_path / "deep/a").write_bytes(b"123")
    (tmp_path / "b").write_bytes(b"4567")
    assert size_of(tmp_path) == 7
    assert size_of(tmp_path / "b") == 4
