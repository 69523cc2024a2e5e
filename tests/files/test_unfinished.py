"""The rests of killed processes are removed, and a disk that refuses a file is told in a sentence."""

import errno
import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import psutil
import pytest

from commands.write_deps import ROOT
from src.errors import InputError
from src.files import unfinished
from src.files.storage import atomic

KILLED = """
import os, signal, sys
from pathlib import Path
from src.files.storage import atomic

with atomic(sys.argv[1]) as temporary:
    temporary.write_bytes(bytes(1000))
    os.kill(os.getpid(), signal.SIGKILL)
"""
FULL = """
import sys
from src.errors import InputError
from src.files.storage import atomic

try:
    with atomic(sys.argv[1] + "/features.npy") as temporary, temporary.open("wb") as file:
        for _ in range(99):
            file.write(bytes(100_000))
except InputError as error:
    sys.exit(str(error))
"""


def a_dead_number() -> int:
    process = subprocess.Popen(["true"])
    process.wait()
    return process.pid


def test_the_rest_of_a_killed_process_goes_when_the_next_one_writes_there(tmp_path: Path) -> None:
    path = tmp_path / "rcnn.npy"
    done = subprocess.run([sys.executable, "-c", KILLED, path], cwd=ROOT)
    assert done.returncode == -signal.SIGKILL
    (rest,) = tmp_path.iterdir()
    assert unfinished.FORM.fullmatch(rest.name)
    unfinished.sweep_once.cache_clear()
    with atomic(path) as temporary:
        temporary.write_text("whole")
    assert [file.name for file in tmp_path.iterdir()] == ["rcnn.npy"]


def test_files_that_another_run_may_be_writing_stay(tmp_path: Path) -> None:
    (tmp_path / "data").mkdir()
    own, other, dead = unfinished._machine(), "0123abcd", a_dead_number()
    began = psutil.Process().create_time()
    stay = {f".a.{os.getpid()}-{own}.tmp": time.time(), f".b.{dead}-{other}.tmp": time.time() - 3600}
    stay |= {"a.tmp": 0, ".notes.tmp": 0, f"a.{dead}-{own}.tmp": 0, f".{dead}.tmp": 0}
    go = {f".c.{dead}-{own}.tmp": time.time(), f".d.{dead}.tmp": time.time()}
    go |= {f".e.{dead}-{other}.tmp": time.time() - 2 * 86_400, f".f.{os.getpid()}-{own}.tmp": began - 60}
    for name, written in {**stay, **go}.items():
        (tmp_path / "data" / name).touch()
        os.utime(tmp_path / "data" / name, (written, written))
    assert {file.name for file in unfinished.sweep(tmp_path, "**/*")} == set(go)
    assert {file.name for file in (tmp_path / "data").iterdir()} == set(stay)
    assert unfinished.sweep(tmp_path / "no such folder") == []


def test_neither_dvc_nor_git_sees_a_rest() -> None:
    for name in (".dvcignore", ".gitignore"):
        assert ".*.tmp" in (ROOT / name).read_text().splitlines()


@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EDQUOT])
def test_a_full_disk_is_told_with_the_file_and_the_room_and_the_old_file_stays(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, number: int
) -> None:
    path = tmp_path / "out.npz"
    path.write_text("old")

    def full(_: Any) -> None:
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(InputError) as error, atomic(path) as temporary:
        temporary.write_bytes(bytes(123_400))
    words = r"was not written, because its disk is full \(123\.4 kB of it were written, and [0-9.]+ .?B are free"
    assert re.match(re.escape(f"{path} ") + words, str(error.value))
    assert [file.name for file in tmp_path.iterdir()] == ["out.npz"]
    assert path.read_text() == "old"


def test_a_disk_that_is_really_full_ends_in_the_sentence(tmp_path: Path) -> None:
    mount = f"mount -t tmpfs -o size=1m none {tmp_path} && exec {sys.executable} -c '{FULL}' {tmp_path}"
    done = subprocess.run(["unshare", "-rm", "sh", "-c", mount], cwd=ROOT, capture_output=True, text=True)
    if "unshare" in done.stderr or "mount" in done.stderr:
        pytest.skip("this machine lets no test mount a small disk")
    assert done.returncode == 1
    assert re.search(r"features\.npy was not written, because its disk is full \(1\.0 MB of it were", done.stderr)


def test_a_folder_in_the_place_of_a_file_and_a_file_in_the_place_of_a_folder_are_told(tmp_path: Path) -> None:
    (tmp_path / "folder").mkdir()
    (tmp_path / "file").touch()
    for path in (tmp_path / "folder", tmp_path / "file/out.json", tmp_path / "file/below/out.json"):
        with pytest.raises(InputError, match=re.escape(f"{path} cannot be written (")), atomic(path) as temporary:
            temporary.write_text("x")
    assert {file.name for file in tmp_path.iterdir()} == {"folder", "file"}


def test_an_error_about_another_file_keeps_its_name(tmp_path: Path) -> None:
    def reads(temporary: Path) -> None:
        temporary.touch()
        raise PermissionError(errno.EACCES, "denied", "photo.jpg")

    with pytest.raises(PermissionError, match="photo"), atomic(tmp_path / "out") as temporary:
        reads(temporary)
