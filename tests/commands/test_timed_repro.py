import sys
import time
from pathlib import Path

import pytest

from commands import second_page, timed_repro
from commands.timed_repro import Progress, intervals, timed


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
    assert intervals(lines) == {"prepare@voc": (2.0, 5.5)}


def test_a_stage_that_leaves_the_lock_file_as_it_is_has_a_time_too() -> None:
    lines = [
        (1.0, "Running stage 'check':\n"),
        (3.0, "Running stage 'propose':\n"),
        (8.0, "Running stage 'report':\n"),
        (9.0, "Use `dvc push` to send your updates to remote storage.\n"),
    ]
    assert intervals(lines) == {"check": (1.0, 3.0), "propose": (3.0, 8.0), "report": (8.0, 9.0)}


def test_lines_are_timed_as_they_come_and_shown(capsys) -> None:
    says = (
        "import time; print(\"Running stage 'a':\"); time.sleep(0.3); print(\"Updating lock file 'dvc.lock'\"); exit(3)"
    )
    begin = time.monotonic()
    found, code = timed([sys.executable, "-c", says])
    assert 0.25 < found["a"][0] <= time.monotonic() - begin
    assert code == 3
    assert "Running stage 'a'" in capsys.readouterr().out


def test_a_line_says_which_stage_of_how_many_runs_and_how_long_the_rest_takes() -> None:
    progress = Progress(["check", "prepare@voc", "propose", "report"], {"prepare@voc": 30.4, "propose": 200.0})
    assert progress("'data/raw/voc.dvc' didn't change, skipping\n") == ""
    assert progress("Stage 'check' didn't change, skipping\n") == ""
    assert progress("Running stage 'prepare@voc':\n") == (
        "stage 2 of 4, prepare@voc; at most about 4 min left, without 1 of the stages, which never ran here"
    )
    assert progress("> python -m stages.prepare\n") == ""
    assert progress("Stage 'propose' is cached - skipping run\n") == ""
    assert progress("Running stage 'report':\n") == "stage 4 of 4, report"


def test_the_line_on_progress_comes_after_the_line_of_dvc(capsys) -> None:
    timed([sys.executable, "-c", "print(\"Running stage 'b':\")"], Progress(["a", "b"], {"a": 5.0, "b": 7.0}))
    assert capsys.readouterr().out == "Running stage 'b':\nstage 1 of 2, b; at most about 12 s left\n"


@pytest.mark.parametrize(("words", "pages"), [(["--no-page", "check"], 0), (["check"], 1)])
def test_times_are_noted_and_a_page_is_written_unless_it_is_not_wanted(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, words: list[str], pages: int
) -> None:
    monkeypatch.chdir(tmp_path)
    asked, written = [], []

    def timed(command: list[str], progress: object) -> tuple[dict[str, tuple[float, float]], int]:
        asked.append(command)
        return {"check": (2.0, 100)}, 0

    monkeypatch.setattr(timed_repro, "timed", timed)
    monkeypatch.setattr(timed_repro, "stage_names", lambda: ["check"])
    monkeypatch.setattr(second_page, "write", lambda *page: written.append(page))
    monkeypatch.setattr(sys, "argv", ["timed_repro", *words])
    timed_repro.main()
    assert asked == [["dvc", "repro", "check"]]
    assert (tmp_path / "report/times.csv").read_text() == "stage,seconds,memory_mb\ncheck,2.0,100\n"
    assert len(written) == pages


def test_a_lock_file_that_a_kill_left_broken_is_mended_first(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / ".dvc/tmp").mkdir(parents=True)
    (tmp_path / ".dvc/tmp/rwlock").write_text('{"write": {"/a')
    monkeypatch.setattr(timed_repro, "timed", lambda command, progress: ({}, 0))
    monkeypatch.setattr(timed_repro, "stage_names", list)
    monkeypatch.setattr(sys, "argv", ["timed_repro", "--no-page"])
    timed_repro.main()
    assert "removed .dvc/tmp/rwlock, which a killed run left broken" in capsys.readouterr().out
    assert not (tmp_path / ".dvc/tmp/rwlock").exists()


def test_ctrl_c_ends_it_without_a_traceback(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def timed(command: list[str], progress: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(timed_repro, "timed", timed)
    monkeypatch.setattr(timed_repro, "stage_names", list)
    monkeypatch.setattr(sys, "argv", ["timed_repro"])
    with pytest.raises(SystemExit) as end:
        timed_repro.main()
    assert end.value.code == 130
