from pathlib import Path

import pytest

from commands import costs
from src.errors import InputError
from tests.report.conftest import outputs  # noqa: F401
from tests.report.outputs import SPLITS, Outputs

PARAMS = costs.Params(profile="made up", splits=SPLITS)
TIMES = "stage,seconds,memory_mb\ndetect@ssd300,14,100\ntrain_detector@ssd300,90,200\n"


def test_detectors_with_times_are_in_the_table_and_in_the_picture(
    outputs: Outputs,  # noqa: F811
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.chdir(outputs.root)
    (tmp_path / "times.csv").write_text(TIMES)
    costs.run(PARAMS, times=tmp_path / "times.csv", out=tmp_path / "costs.png")
    said = capsys.readouterr().out.splitlines()
    assert "R-CNN is left out: not every stage of it has a time in" in "\n".join(said)
    assert said[-1].startswith("| SSD | ")
    assert said[-1].endswith(" | 2.000 | 1.5 |")
    assert (tmp_path / "costs.png").read_bytes()[:4] == b"\x89PNG"


def test_without_times_a_sentence_tells_how_to_get_them(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(InputError, match=r"report/times\.csv is missing.*run `make repro` first"):
        costs.run(PARAMS)
