from pathlib import Path

import pytest

from commands import compare, second_page, timed_repro
from commands.write_deps import ROOT
from src.errors import InputError


def test_the_command_is_the_pipelines_with_another_output_and_one_more_option() -> None:
    command = second_page.words(ROOT / "dvc.yaml", Path("report/other.html"), "--times", Path("report/times.csv"))
    assert command[:2] == ["-m", "stages.report"]
    assert command[-4:] == ["--out", "report/other.html", "--times", "report/times.csv"]
    assert "report/report.html" not in command


def test_all_second_pages_are_different_files_that_git_ignores() -> None:
    pages = [timed_repro.REPORT, timed_repro.TIMES, compare.PAGE, compare.ROWS]
    assert len(set(pages)) == len(pages)
    assert {page.parent for page in pages} == {Path("report")}
    assert Path("report/report.html") not in pages


def test_a_stage_that_fails_is_one_sentence(tmp_path: Path) -> None:
    (tmp_path / "dvc.yaml").write_text("stages: {report: {cmd: python -c exit(1) --out report.html}}")
    with pytest.raises(InputError, match=r"other.html was not written, for the reason above; rows.json is there"):
        second_page.write(Path("other.html"), "--comparison", Path("rows.json"), tmp_path / "dvc.yaml")
