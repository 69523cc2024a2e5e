import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from commands.unlock import run

from src.errors import InputError

WHOLE = {"write": {"/a": {"pid": 1, "cmd": "dvc repro"}}, "read": {}}


@pytest.mark.parametrize("content", ["", '{"write": {', "[]", "\0\0\0", '{"write": []}'])
def test_a_lock_that_a_kill_broke_is_moved_away(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, content: str, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    lock = tmp_path / "rwlock"
    lock.write_text(content)
    run(lock=lock)
    assert os.listdir() == ["rwlock.damaged"]
    assert "no other run is alive" in capsys.readouterr().out
    run(lock=lock)  # there is none any more
    assert capsys.readouterr().out == ""


def test_a_whole_lock_is_dvcs_own_affair(tmp_path: Path) -> None:
    lock = tmp_path / "rwlock"
    lock.write_text(json.dumps(WHOLE))
    run(lock=lock)
    assert json.loads(lock.read_text()) == WHOLE


def test_a_broken_lock_stays_while_another_run_is_alive(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "dvc").write_text("print(1, flush=True)\nimport time\ntime.sleep(99)\n")
    lock = tmp_path / "rwlock"
    lock.write_text("{")
    with subprocess.Popen([sys.executable, "dvc", "repro"], cwd=tmp_path, stdout=subprocess.PIPE) as other:
        assert other.stdout is not None
        other.stdout.readline()
        with pytest.raises(InputError, match=rf"another run of DVC works in this folder \(process {other.pid}: .*dvc"):
            run(lock=lock)
        other.kill()
    assert lock.exists()
