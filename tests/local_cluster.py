"""A Dask scheduler and its workers, each a process of its own, on the loopback of this machine."""

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import psutil

from commands.write_deps import ROOT

PINNED = ("--preload-nanny", "stages")
WAIT = 180  # seconds, for a machine with many other programs


class LocalCluster:
    """A scheduler, and the workers that were started."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.processes = folder, list[subprocess.Popen]()
        file = folder / "scheduler.json"
        words = ("--host", "127.0.0.1", "--port", "0", "--no-dashboard", "--scheduler-file", str(file))
        self.scheduler = self._start("scheduler", *words)
        until(file.exists)
        self.address = json.loads(file.read_text())["address"]

    def worker(self, *options: str, **popen: Any) -> subprocess.Popen:
        """Start a worker of one process with one thread, unless the options say otherwise."""
        words = ("--no-dashboard", "--local-directory", str(self.folder / "workers"))
        return self._start("worker", self.address, *words, *(options or ("--nthreads", "1", *PINNED)), **popen)

    def _start(self, *words: str, **popen: Any) -> subprocess.Popen:
        log = (self.folder / f"{words[0]}-{len(self.processes)}.log").open("w")
        command = [sys.executable, "-m", "dask", *words]
        process = subprocess.Popen(command, **{"cwd": ROOT, **popen}, stdout=log, stderr=log)
        log.close()
        self.processes.append(process)
        return process

    def processor_seconds(self) -> dict[str, float]:
        """Return the processor seconds so far: those of the scheduler, and of all nannies and workers together."""
        total = dict.fromkeys(("scheduler", "nannies", "workers"), 0.0)
        for number, process in enumerate(self.processes):
            started = psutil.Process(process.pid)
            total["nannies" if number else "scheduler"] += _seconds(started)
            total["workers"] += sum(map(_seconds, started.children(recursive=True)))
        return total

    def stop(self) -> None:
        """End all processes."""
        for process in reversed(self.processes):
            process.terminate()
        for process in self.processes:
            try:
                process.wait(20)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()


def _seconds(process: psutil.Process) -> float:
    times = process.cpu_times()
    return times.user + times.system


@contextmanager
def local_cluster(folder: Path, workers: int, *options: str) -> Iterator[LocalCluster]:
    """Run a scheduler and workers with these options until the block ends; all workers are there when it begins."""
    from distributed import Client

    made = LocalCluster(folder)
    try:
        for _ in range(workers):
            made.worker(*options)
        if workers:
            with Client(made.address, set_as_default=False) as client:
                client.wait_for_workers(workers, timeout=WAIT)
        yield made
    finally:
        made.stop()


def until(done: Any, seconds: float = WAIT) -> None:
    """Wait until a function returns something true."""
    end = time.monotonic() + seconds
    while not done():
        assert time.monotonic() < end, f"{done} did not become true within {seconds} s"
        time.sleep(0.05)


def kill(number: int) -> None:
    """Kill a process as the system does when memory is short."""
    os.kill(number, signal.SIGKILL)
