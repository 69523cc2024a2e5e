"""The processes of a training: their numbers in the environment, and their common end."""

import signal
import subprocess
import sys
import time
from functools import partial
from pathlib import Path
from typing import Any

import psutil
import pytest

from commands.write_deps import ROOT
from src.errors import InputError
from stages import group
from stages.environment import devices
from stages.group import place, start, to_start

VARIABLES = ("RANK", "WORLD_SIZE", "LOCAL_RANK", "LOCAL_WORLD_SIZE", "MASTER_ADDR", "MASTER_PORT", "DEVICES")
VARIABLES += ("NODES", "NODE_RANK", group.STARTED, "DEVICE", "OMP_NUM_THREADS")
TORCHRUN = {
    "RANK": "5",
    "WORLD_SIZE": "8",
    "LOCAL_RANK": "1",
    "LOCAL_WORLD_SIZE": "4",
    "MASTER_ADDR": "node0",
    "MASTER_PORT": "29511",
}
SLURM = {
    "SLURM_STEP_NUM_TASKS": "4",
    "SLURM_STEP_NUM_NODES": "2",
    "SLURM_PROCID": "3",
    "SLURM_LOCALID": "1",
    "SLURM_STEP_NODELIST": "gpu[07-08]",
    "SLURM_JOB_ID": "123456",
}
WORK = """
import os, signal, sys, time
rank = int(os.environ["RANK"])
exec(sys.argv[1])
"""
WAITS = '''
"""Wait for ever, as a stage that trains."""
import time
from pathlib import Path
from src.files.storage import atomic
from stages.command import command

def run(*, out: Path) -> None:
    with atomic(out.with_suffix(f".{__import__('os').environ['RANK']}")) as temporary:
        temporary.touch()
        print("works", flush=True)
        time.sleep(99)

if __name__ == "__main__":
    command(run, trains=True)
'''


@pytest.fixture(autouse=True)
def alone(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in [*VARIABLES, *SLURM]:
        monkeypatch.delenv(name, raising=False)


def given(monkeypatch: pytest.MonkeyPatch, variables: dict[str, str]) -> None:
    for name, value in variables.items():
        monkeypatch.setenv(name, value)


def test_without_variables_a_stage_trains_alone() -> None:
    assert place() is None
    assert to_start() == 0
    assert group.is_first()
    assert group.first_here()
    assert devices() == 1


@pytest.mark.parametrize("value", ["two", "0", "-1", "1.5", "", "²"])
def test_a_number_that_is_none_is_refused_in_one_sentence(monkeypatch: pytest.MonkeyPatch, value: str) -> None:
    monkeypatch.setenv("DEVICES", value)
    with pytest.raises(InputError, match=f"^the environment has DEVICES={value}, which must be a number of processes"):
        to_start()


def test_the_places_of_torchrun_and_slurm_are_read(monkeypatch: pytest.MonkeyPatch) -> None:
    given(monkeypatch, SLURM)
    assert place() == (3, 4, 1, 2, "gpu07", 15_000 + 3456)
    assert to_start() == 0
    assert not group.is_first()
    given(monkeypatch, TORCHRUN)
    assert place() == (5, 8, 1, 4, "node0", 29511)
    assert not group.first_here()


def test_the_script_of_a_slurm_job_is_alone_and_so_is_a_world_of_one(monkeypatch: pytest.MonkeyPatch) -> None:
    given(monkeypatch, {"SLURM_JOB_ID": "7", "SLURM_NTASKS": "4", "SLURM_PROCID": "0"})
    assert place() is None
    given(monkeypatch, {**TORCHRUN, "RANK": "0", "WORLD_SIZE": "1", "LOCAL_RANK": "0", "LOCAL_WORLD_SIZE": "1"})
    assert place() is None
    monkeypatch.setenv("DEVICES", "2")
    assert to_start() == 2


def test_numbers_that_contradict_each_other_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    given(monkeypatch, {**TORCHRUN, "DEVICES": "3"})
    with pytest.raises(InputError, match="DEVICES=3, but torchrun or Slurm has started 4 processes on this machine"):
        place()
    given(monkeypatch, {"DEVICES": "4", "WORLD_SIZE": "7"})
    with pytest.raises(InputError, match="7 processes train together, 4 of them on this machine"):
        place()
    for name in TORCHRUN:
        monkeypatch.delenv(name)
    given(monkeypatch, {"DEVICES": "1", "NODES": "2"})
    with pytest.raises(InputError, match="NODES=2 and no MASTER_ADDR"):
        to_start()
    given(monkeypatch, {"MASTER_ADDR": "node0", "NODE_RANK": "2"})
    with pytest.raises(InputError, match="NODE_RANK=2 and NODES=2: machines are counted from 0"):
        to_start()
    monkeypatch.setenv("NODE_RANK", "1")
    assert to_start() == 1


@pytest.fixture
def module(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """The name of a module whose processes run the code that its first word is."""
    (tmp_path / "work.py").write_text(WORK)
    monkeypatch.chdir(tmp_path)
    return "work"


def test_each_process_has_its_place_and_only_the_first_one_prints(
    module: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    given(monkeypatch, {"NODES": "2", "NODE_RANK": "1", "MASTER_ADDR": "node0", "ARITHMETIC": "native"})
    monkeypatch.setattr("joblib.cpu_count", lambda: 6)
    names = [*TORCHRUN, group.STARTED, "OMP_NUM_THREADS"]
    start(module, [f"open(f'{{rank}}', 'w').write(' '.join(os.environ[n] for n in {names})); print(rank)"], 2)
    assert [(tmp_path / name).read_text() for name in "23"] == [
        f"{rank} 4 {local} 2 node0 29500 1 3" for local, rank in enumerate((2, 3))
    ]
    assert capfd.readouterr() == ("2\n", "")


@pytest.mark.parametrize("rank", [0, 1])
def test_an_error_of_one_process_ends_all_with_its_text_and_its_status(
    module: str, rank: int, capfd: pytest.CaptureFixture[str]
) -> None:
    begin = time.monotonic()
    with pytest.raises(SystemExit) as end:
        start(module, [f"sys.exit(print('a sentence', file=sys.stderr) or 3) if rank == {rank} else time.sleep(60)"], 2)
    assert end.value.code == 3
    assert capfd.readouterr() == ("", "a sentence\n")
    assert time.monotonic() - begin < 20


def test_a_process_that_is_killed_is_named_and_one_that_lost_it_is_not_the_cause(module: str) -> None:
    code = f"sys.exit({group.LOST}) if rank == 0 else time.sleep(0.5) or os.kill(os.getpid(), signal.SIGKILL)"
    with pytest.raises(InputError, match=r"^process 1 of 2 was killed by SIGKILL, .* the same command goes on from"):
        start(module, [code], 2)


def test_without_a_cause_on_this_machine_it_is_on_another(module: str, monkeypatch: pytest.MonkeyPatch) -> None:
    given(monkeypatch, {"NODES": "2", "NODE_RANK": "0", "MASTER_ADDR": "node0"})
    with pytest.raises(InputError, match="^a process of the training on another machine is gone"):
        start(module, [f"sys.exit({group.LOST})"], 2)


def test_processes_of_one_machine_that_lost_each_other_say_why(module: str) -> None:
    """None is the cause, for example if all have too few file handles."""
    code = f"sys.exit(print('too many files', file=sys.stderr) or {group.LOST})"
    with pytest.raises(InputError, match=r"have lost each other. process 1 of 2 says: too many files$"):
        start(module, [code], 2)


def test_a_process_that_is_told_to_end_is_named(module: str) -> None:
    code = f"sys.exit({group.TERMINATED}) if rank == 0 else time.sleep(60)"
    with pytest.raises(
        InputError, match=r"^process 0 of 2 was told to end by SIGTERM; the others have ended, too, and"
    ):
        start(module, [code], 2)


def test_a_process_that_hears_no_request_is_killed(module: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(group, "END", 0.5)
    deaf = "signal.signal(signal.SIGTERM, signal.SIG_IGN); open('deaf', 'w').close(); time.sleep(60)"
    wait = "[time.sleep(0.1) for _ in range(100) if not os.path.exists('deaf')]; sys.exit(4)"
    with pytest.raises(SystemExit, match="4"):
        start(module, [f"exec({deaf!r} if rank else {wait!r})"], 2)


@pytest.mark.parametrize(
    ("number", "said", "status"),
    [(signal.SIGTERM, "SIGTERM", 143), (signal.SIGINT, "Ctrl-C", 130), (signal.SIGKILL, "", -signal.SIGKILL)],
)
def test_all_processes_and_their_files_go_with_the_one_that_started_them(
    tmp_path: Path, number: int, said: str, status: int
) -> None:
    (tmp_path / "work").mkdir()
    (tmp_path / "work" / "waits.py").write_text(WAITS)
    words = [sys.executable, "-m", "work.waits", "--out", str(tmp_path / "out")]
    environment = {"PYTHONPATH": str(ROOT), "PATH": "/usr/bin:/bin", "DEVICES": "2"}
    options: dict[str, Any] = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True, "env": environment}
    heard = partial(signal.signal, signal.SIGINT, signal.SIG_DFL)
    with subprocess.Popen(words, cwd=tmp_path, **options, preexec_fn=heard) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "works\n"
        end = time.time() + 30
        while len(list(tmp_path.glob(".out.*"))) < 2:  # the other one prints nothing
            assert time.time() < end
            time.sleep(0.1)
        children = psutil.Process(process.pid).children(recursive=True)
        assert len(children) == 2
        process.send_signal(number)
        assert process.wait(60) == status
        while any(child.is_running() and child.status() != psutil.STATUS_ZOMBIE for child in children):
            assert time.time() < end, "a child outlives its parent"
            time.sleep(0.1)
        text = process.stderr.read() if process.stderr else ""
    if said:
        sentence = f"waits: stopped by {said}; no file is half-written, and the same command goes on\n"
        assert text == sentence
        assert not list(tmp_path.glob(".out*"))
