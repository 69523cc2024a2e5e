"""DVC's lock file after a kill, and other runs that are alive."""

import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from dvc.fs import localfs
from dvc.lock import make_lock
from dvc.rwlock import RWLockFileCorruptedError, RWLockFileFormatError, rwlock

from commands import unlock
from src.errors import InputError

SLEEPS = "import sys, time; print('here', flush=True); time.sleep(60)"


@pytest.fixture
def file(tmp_path: Path) -> Path:
    (tmp_path / ".dvc/tmp").mkdir(parents=True)
    return tmp_path / ".dvc/tmp/rwlock"


@pytest.fixture
def other(tmp_path: Path) -> Iterator[subprocess.Popen[str]]:
    """A living process that looks like a stage in this folder."""
    words = [sys.executable, "-c", SLEEPS, "stages.train_svm"]
    with subprocess.Popen(words, cwd=tmp_path, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        process.stdout.readline()
        yield process
        process.kill()


def locked(file: Path) -> None:
    """Take and release the lock as a run of DVC does."""
    with rwlock(str(file.parent), localfs, "dvc repro", [], [str(file.parent.parent / "models")], False):
        pass


@pytest.mark.parametrize("content", [b"", b'{"write": {"/a": {"pid": 1', b"[]", b'{"write": {"/a": {}}}', b"\xff"])
def test_a_broken_lock_file_that_dvc_refuses_is_removed(file: Path, tmp_path: Path, content: bytes) -> None:
    file.write_bytes(content)
    with pytest.raises((RWLockFileCorruptedError, RWLockFileFormatError, UnicodeDecodeError)):
        locked(file)
    assert "no other run works here" in unlock.mend(tmp_path)[0]
    locked(file)
    assert unlock.mend(tmp_path) == []


def test_a_broken_lock_file_stays_as_long_as_another_run_is_alive(
    file: Path, tmp_path: Path, other: "subprocess.Popen[str]"
) -> None:
    file.write_text("{")
    with pytest.raises(InputError, match=rf"broken .* another run works here: process {other.pid} .*stages.train_svm"):
        unlock.mend(tmp_path)
    assert file.read_text() == "{"
    other.kill()
    other.wait()
    assert len(unlock.mend(tmp_path)) == 1


def test_a_run_in_another_folder_is_no_run_here(tmp_path: Path, other: "subprocess.Popen[str]") -> None:
    assert [found.number for found in unlock.running(tmp_path)] == [other.pid]
    (tmp_path / "below").mkdir()
    assert unlock.running(tmp_path / "below") == []


def test_the_entry_of_a_number_that_another_program_has_now_is_removed(file: Path, tmp_path: Path) -> None:
    with subprocess.Popen([sys.executable, "-c", SLEEPS], stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        process.stdout.readline()
        held = {"pid": process.pid, "cmd": "/usr/bin/dvc repro"}
        dead = {"pid": 2**22 - 1, "cmd": "/usr/bin/dvc repro"}
        file.write_text(json.dumps({"write": {"/a": held, "/c": dead}, "read": {"/b": [held, dead], "/d": [held]}}))
        assert f"process {process.pid} from" in unlock.mend(tmp_path)[0]
        process.kill()
    assert json.loads(file.read_text()) == {"write": {"/c": dead}, "read": {"/b": [dead]}}


def test_the_entry_of_a_living_run_stays(file: Path, tmp_path: Path, other: "subprocess.Popen[str]") -> None:
    entries = {"write": {"/a": {"pid": other.pid, "cmd": "dvc repro"}}}
    file.write_text(json.dumps(entries))
    assert unlock.mend(tmp_path) == []
    assert json.loads(file.read_text()) == entries


def test_a_lock_file_that_dvc_writes_at_this_moment_is_left_alone(
    file: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("dvc.lock.DEFAULT_TIMEOUT", 0.1)
    file.write_text("{")
    with make_lock(str(file.with_name("rwlock.lock"))), pytest.raises(InputError, match="at this moment"):
        unlock.mend(tmp_path)
    assert file.read_text() == "{"


STAGES = """schema: '2.0'
stages:
  one:
    cmd: cp word one
    deps:
    - path: word
      hash: md5
      md5: 993ed7d20d5f775dc558eb129f5a6c20
      size: 6
  two@a b:
    cmd: cp one two
    outs:
    - path: two
      hash: md5
      md5: 993ed7d20d5f775dc558eb129f5a6c20
      size: 6
"""


@pytest.mark.parametrize("length", range(len(STAGES)))
def test_a_lock_file_of_dvc_that_is_cut_anywhere_is_read_again(tmp_path: Path, length: int) -> None:
    lock = tmp_path / "dvc.lock"
    lock.write_text(STAGES[:length])
    broken = unlock._problem(STAGES[:length]) is not None
    assert len(unlock.mend(tmp_path)) == broken
    if lock.exists():
        assert unlock._problem(lock.read_text()) is None
        assert STAGES.startswith(lock.read_text())
    assert lock.exists() == (not broken or "\n  t" in STAGES[:length])
    assert unlock.mend(tmp_path) == []


def test_stages_that_were_whole_stay_in_a_lock_file_that_was_cut(tmp_path: Path) -> None:
    begin = STAGES.index("  two@a b")
    (tmp_path / "dvc.lock").write_text(STAGES[: begin + 15])
    assert "after its first 1 stages" in unlock.mend(tmp_path)[0]
    assert (tmp_path / "dvc.lock").read_text() == STAGES[:begin]


def test_a_lock_file_of_dvc_is_not_cut_beside_another_run(tmp_path: Path, other: "subprocess.Popen[str]") -> None:
    (tmp_path / "dvc.lock").write_text(STAGES[:100])
    with pytest.raises(InputError, match=rf"dvc.lock is broken .* process {other.pid}"):
        unlock.mend(tmp_path)
    assert (tmp_path / "dvc.lock").read_text() == STAGES[:100]


def test_without_a_lock_file_there_is_nothing_to_mend(tmp_path: Path) -> None:
    assert unlock.mend(tmp_path) == []
