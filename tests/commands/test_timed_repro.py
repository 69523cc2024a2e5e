import sys
import time

from commands.timed_repro import Progress, seconds, timed


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
