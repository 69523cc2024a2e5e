import sys
import time
from pathlib import Path

from commands.timed_repro import REPORT, TIMES, seconds, timed, with_times
from commands.write_deps import ROOT


def test_seconds_are_those_of_the_stages_that_ran_to_their_end() -> None:
    lines = [
        (0.0, "'data/raw/voc.dvc' didn't change, skipping\n"),
        (1.0, "Stage 'check' didn't change, skipping\n"),
        (2.0, "Running stage 'prepare@voc':\n"),
        (2.1, "> python -m stages.prepare\n"),
        (2.5, "Running is what it says itself\n"),
        (5.5, "Updating lock file 'dvc.lock'\n"),
        (6.0, "\n"),
        (6.0, "Running stage 'propose':\n"),
        (9.0, "ERROR: failed to reproduce 'propose'\n"),
    ]
    assert seconds(lines) == {"prepare@voc": 3.5}


def test_lines_are_timed_as_they_come_and_shown(capsys) -> None:
    says = (
        "import time; print(\"Running stage 'a':\"); time.sleep(0.3); print(\"Updating lock file 'dvc.lock'\"); exit(3)"
    )
    begin = time.monotonic()
    found, code = timed([sys.executable, "-c", says])
    assert 0.25 < found["a"] <= time.monotonic() - begin
    assert code == 3
    assert "Running stage 'a'" in capsys.readouterr().out


def test_the_report_with_times_is_another_file_and_otherwise_the_pipelines() -> None:
    command = with_times(ROOT / "dvc.yaml")
    assert command[:2] == ["-m", "stages.report"]
    assert command[-4:] == ["--out", str(REPORT), "--times", str(TIMES)]
    assert "report/report.html" not in command
    assert Path("report") == REPORT.parent == TIMES.parent  # git ignores this folder
