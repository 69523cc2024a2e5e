"""A stage that is told to stop, or whose process is killed, leaves neither files nor children."""

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

STAGE = """
\"""A stage that writes with two processes, for ever.\"""
import sys, time
from pathlib import Path
from src.files.storage import atomic
from src.parallel import parallel_map
from stages.command import command

def wait(_):
    print("works", flush=True)
    time.sleep(99)

def run(*, out: Path) -> None:
    with atomic(out) as temporary:
        temporary.touch()
        parallel_map(wait, range(2), 2, "wait")

command(run)
"""


@pytest.mark.parametrize(
    ("number", "said", "status"),
    [(signal.SIGTERM, "SIGTERM", 143), (signal.SIGINT, "Ctrl-C", 130), (signal.SIGKILL, "", -signal.SIGKILL)],
)
def test_children_and_files_go_with_the_process(tmp_path: Path, number: int, said: str, status: int) -> None:
    script = tmp_path / "waits.py"
    script.write_text(STAGE)
    words = [sys.executable, str(script), "--out", str(tmp_path / "out")]
    environment = {"PYTHONPATH": str(ROOT), "PATH": "/usr/bin:/bin"}
    options: dict[str, Any] = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True, "env": environment}
    # A shell's background jobs ignore Ctrl-C, and so would all their children.
    heard = partial(signal.signal, signal.SIGINT, signal.SIG_DFL)
    with subprocess.Popen(words, **options, preexec_fn=heard) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "works\n"
        children = psutil.Process(process.pid).children(recursive=True)
        process.send_signal(number)
        assert process.wait(60) == status
        end = time.time() + 30
        while any(child.is_running() and child.status() != psutil.STATUS_ZOMBIE for child in children):
            assert time.time() < end, "a child outlives its parent"
            time.sleep(0.1)
        text = process.stderr.read() if process.stderr else ""
    if said:
        assert f"waits: stopped by {said}; no file is half-written" in text
        assert "Traceback" not in text.split("waits: stopped")[0].rpartition("exception calling")[0]
        assert not (tmp_path / "out").exists()
        assert not list(tmp_path.glob(".out*"))
