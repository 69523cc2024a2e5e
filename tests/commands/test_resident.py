import subprocess
import sys
import time
from collections.abc import Iterator

import psutil
import pytest

from commands.resident import Resident, held

CHILD = "import time; a = b'1' * 200_000_000; print('ready', flush=True); time.sleep(60)"
PARENT = f"import subprocess, sys; b = b'1' * 100_000_000; subprocess.run([sys.executable, '-c', {CHILD!r}])"


@pytest.fixture
def parent() -> Iterator["subprocess.Popen[str]"]:
    """A process with 100 MB, whose child has 200 MB."""
    process = subprocess.Popen([sys.executable, "-c", PARENT], stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    assert process.stdout.readline() == "ready\n"
    yield process
    for child in psutil.Process(process.pid).children():
        child.kill()
    process.wait()
    process.stdout.close()


def test_the_children_of_a_process_count_and_it_does_not_itself(parent: "subprocess.Popen[str]") -> None:
    with Resident(parent.pid, every=0.1) as memory:
        begin = time.monotonic()
        time.sleep(0.5)
    assert 200e6 < memory.peak(begin, time.monotonic()) < 250e6
    assert memory.peak(begin - 10, begin - 5) == 0


def test_a_process_that_is_gone_holds_nothing() -> None:
    process = subprocess.Popen([sys.executable, "-c", ""])
    process.wait()
    assert held(process.pid) == 0


def test_shared_pages_count_once() -> None:
    """A fork shares the memory of its parent until one of them writes into it."""
    code = "import os, time; a = b'1' * 200_000_000; os.fork(); os.write(1, b'ready\\n'); time.sleep(60)"
    above = f"import subprocess, sys; subprocess.run([sys.executable, '-c', {code!r}])"
    with subprocess.Popen([sys.executable, "-c", above], stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        assert [process.stdout.readline() for _ in range(2)] == 2 * ["ready\n"]
        size = held(process.pid)
        for child in psutil.Process(process.pid).children(recursive=True):
            child.kill()
    if not sys.platform.startswith("linux"):
        pytest.skip("only Linux tells which pages are shared")
    assert 200e6 < size < 250e6
