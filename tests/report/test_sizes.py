import dataclasses
from pathlib import Path

from src.report.blocks import Columns, Paragraph, Table
from src.report.inputs import Inputs
from src.report.sizes import WITH, WITHOUT, section, size_of


def parts(inputs: Inputs) -> tuple[Paragraph, list[Table]]:
    words, columns = section(inputs).blocks
    assert isinstance(words, Paragraph)
    assert isinstance(columns, Columns)
    return words, [block for column in columns.columns for block in column if isinstance(block, Table)]


def test_every_stage_with_outputs_has_their_size_and_the_page_itself_none(inputs: Inputs) -> None:
    words, tables = parts(inputs)
    rows = [row for table in tables for row in table.rows]
    names = [row[0] for row in rows]
    assert names == [*(stage.name for stage in inputs.stages if stage.outs and stage.name != "report"), "all"]
    svm = next(row for row in rows if row[0] == "train_svm")
    assert svm[1] == 3
    assert words.text == WITHOUT
    assert all("seconds" not in table.head for table in tables)
    assert 0 <= len(tables[0].rows) - len(tables[1].rows) <= 1


def test_times_are_shown_where_they_are_given(inputs: Inputs, tmp_path: Path) -> None:
    (tmp_path / "times.csv").write_text("stage,seconds,memory_mb\npropose,12.34,450\ntrain_svm,3.0,1300\n")
    words, tables = parts(dataclasses.replace(inputs, times=tmp_path / "times.csv"))
    uses = {row[0]: row[-2:] for table in tables for row in table.rows}
    assert (uses["propose"], uses["finetune"]) == (["12.3", "450.0 MB"], [None, None])
    assert uses["all"] == ["15.3", "1.3 GB"]
    assert words.text == WITH


def test_times_without_memory_are_shown(inputs: Inputs, tmp_path: Path) -> None:
    (tmp_path / "times.csv").write_text("stage,seconds\npropose,12.34\n")
    _, tables = parts(dataclasses.replace(inputs, times=tmp_path / "times.csv"))
    assert ["12.3", None] in [row[-2:] for table in tables for row in table.rows]


def test_the_size_of_a_folder_is_that_of_all_files_in_it(tmp_path: Path) -> None:
    (tmp_path / "deep").mkdir()
    (tmp_path / "deep/a").write_bytes(b"123")
    (tmp_path / "b").write_bytes(b"4567")
    assert size_of(tmp_path) == 7
    assert size_of(tmp_path / "b") == 4
