"""Kill `dvc repro` with all its processes at random moments, run it again, and compare the outputs in the end.

DVC and the stages are forks of two processes that have imported their libraries (tests/forked.py), because a run that
has to import them spends most of its time there, and so would most kills hit the imports.
"""

import os
import random
import re
import shutil
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Collection, Iterator
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path

import psutil

from commands import unlock
from src.files.locked import md5, outputs
from tests import forked
from tests.repository import Repository

SIGNALS = {signal.SIGKILL: 8, signal.SIGTERM: 1, signal.SIGINT: 1}  # with the share of each
RUNNING = re.compile(r"^Running stage '(.+)'", re.MULTILINE)
BETWEEN = "between stages"  # DVC itself at work
WAIT = 60  # seconds for processes that are told to stop
MOST_STAGES = 4  # `watch`, which runs every time, and three more: a stage is over before another is killed
DELAYS = (0.3, 1.0, 3.0)  # seconds at most after the start of a stage


@dataclass
class Kills:
    """Count kills by the stage that ran, mended lock files and chains of runs, and list what was lost."""

    by_stage: Counter[str] = field(default_factory=Counter)
    mended: int = 0
    chains: int = 0
    lost: list[str] = field(default_factory=list)

    @property
    def number(self) -> int:
        """The number of kills."""
        return self.by_stage.total()

    def __add__(self, other: "Kills") -> "Kills":
        """Return the counts of two campaigns together."""
        return Kills(
            self.by_stage + other.by_stage,
            self.mended + other.mended,
            self.chains + other.chains,
            self.lost + other.lost,
        )


@contextmanager
def quick_dvc(folder: Path, repository: Repository) -> Iterator["Dvc"]:
    """Start the process whose forks are DVC, and one for the stages unless the repository has one."""
    with ExitStack() as stack:
        (folder / "dvc").mkdir()
        own = stack.enter_context(forked.server(folder / "dvc", ("dvc.cli", "dvc.repo", "dvc.repo.reproduce")))
        if repository.commands is None:
            (folder / "stages").mkdir()
            repository.commands = stack.enter_context(forked.server(folder / "stages"))
        yield Dvc(own / "python", repository, folder / "said")


@dataclass
class Dvc:
    """`dvc repro` as a fork, with its output in a file."""

    python: Path
    repository: Repository
    said: Path

    def start(self, targets: Collection[str]) -> "subprocess.Popen[bytes]":
        """Start `dvc repro` in the repository."""
        words = [str(self.python), "-m", "dvc", "repro", *targets]
        with self.said.open("wb") as file:
            return subprocess.Popen(words, cwd=self.repository.path, stdout=file, stderr=file, env=self.environment())

    def environment(self) -> dict[str, str]:
        """Return the environment of tests/repository.py: one process with one thread for each stage."""
        alone = {"ARITHMETIC": "native", "OMP_NUM_THREADS": "1", "JOBS": "1", "WORKERS": "0", "PYTHONUNBUFFERED": "1"}
        path = f"{self.repository.commands}:{Path(sys.executable).parent}:{os.environ['PATH']}"
        return {**os.environ, "PYTHONPATH": "", **alone, "PATH": path}

    def stage(self) -> str:
        """Return the stage that runs, or ran last."""
        return (RUNNING.findall(self.said.read_text()) or [BETWEEN])[-1]


def campaign(dvc: Dvc, kills: int, *, end: float, seed: int, targets: Collection[str] = ()) -> Kills:
    """Run chains of killed runs until there were enough kills, or until a time.

    Args:
        dvc: with a repository that is up to date; its outputs are those that each chain must end with.
        kills: how many.
        end: the time on `time.monotonic` after which nothing is killed; the last chain then runs to its end.
        seed: of the moments.
        targets: the stages that are made again in each chain, with those between them; all if it is empty.
    """
    expected, rng, result = contents(dvc.repository.path), random.Random(seed), Kills()
    while result.number < kills and time.monotonic() < end and not result.lost:
        forget(dvc.repository.path, targets)
        result.chains += 1
        while True:
            result.mended += bool(unlock.mend(dvc.repository.path))  # as `make repro` does before it calls DVC
            killing = result.number < kills and time.monotonic() < end
            if _run(dvc, targets, rng if killing else None, result):
                break
        if not result.lost:  # otherwise the last run has not come to its end
            result.lost += differences(dvc.repository.path, expected)
    return result


def _run(dvc: Dvc, targets: Collection[str], rng: random.Random | None, result: Kills) -> bool:
    """Run DVC, and kill it at a random moment if there is `rng`; tell whether it came to its end before."""
    with dvc.start(targets) as process:
        if rng is not None:
            _wait(dvc, process, rng)
        if rng is None or process.poll() is not None:
            if status := process.wait():
                result.lost.append(f"dvc repro ended with {status}: {dvc.said.read_text()[-1500:]}")
            return True
        number = rng.choices(list(SIGNALS), list(SIGNALS.values()))[0]
        end = time.monotonic() + WAIT
        while process.poll() is None:  # DVC that was asked for just before the signal may be forked after it
            _stop(number)
            with suppress(subprocess.TimeoutExpired):
                process.wait(1)
            if time.monotonic() > end:
                raise TimeoutError(f"dvc repro does not end after signal {number}: {dvc.said.read_text()[-1500:]}")
    text = dvc.said.read_text()
    result.by_stage[dvc.stage()] += 1
    if "Traceback" in text and number != signal.SIGINT:  # DVC prints its own at Ctrl-C
        result.lost.append(f"a traceback after signal {number} in {dvc.stage()}: {text[-1500:]}")
    return False


def _wait(dvc: Dvc, process: "subprocess.Popen[bytes]", rng: random.Random) -> None:
    """Wait for a moment after the start of one of the first stages, or, in one case of ten, of DVC."""
    stages = 0 if rng.random() < 0.1 else rng.randint(1, MOST_STAGES)
    while process.poll() is None and len(RUNNING.findall(dvc.said.read_text())) < stages:
        time.sleep(0.02)
    with suppress(subprocess.TimeoutExpired):
        process.wait(rng.choice(DELAYS) * rng.random())


def _stop(number: int) -> None:
    """Send a signal to all processes of DVC and of stages, and wait until they are gone."""
    servers = [child for child in psutil.Process().children() if forked.__file__ in child.cmdline()]
    end = time.monotonic() + WAIT
    while running := [process for server in servers for process in server.children(recursive=True)]:
        for process in running:
            try:
                process.send_signal(number if time.monotonic() < end else signal.SIGKILL)
            except psutil.NoSuchProcess:
                continue
        psutil.wait_procs(running, 2)


def contents(root: Path) -> dict[str, str]:
    """Return the digest of the content of every output, by path."""
    return {path: md5(root / path) for path in outputs(root / "dvc.lock") if (root / path).exists()}


def forget(root: Path, targets: Collection[str]) -> None:
    """Remove the outputs of the stages, or all, from the folder and from DVC's cache, with what DVC knows of runs."""
    made = outputs(root / "dvc.lock")
    chosen = [out for out in made.values() if not targets or out.stage in targets]
    for out in chosen:
        path = root / out.path
        shutil.rmtree(path) if path.is_dir() else path.unlink(missing_ok=True)
    shutil.rmtree(root / ".dvc/cache/runs", ignore_errors=True)
    kept = {out.md5 for out in made.values() if out not in chosen}
    for out in chosen:
        if out.md5 not in kept:
            (root / ".dvc/cache/files/md5" / out.md5[:2] / out.md5[2:]).unlink(missing_ok=True)
    if not targets:
        shutil.rmtree(root / ".dvc/cache/files", ignore_errors=True)
        (root / "dvc.lock").unlink()


def differences(root: Path, expected: dict[str, str]) -> list[str]:
    """Name the outputs that differ from an uninterrupted run, and the files that should not be there.

    The files themselves are compared: if a kill cut dvc.lock, it lacks stages that are no targets, until a whole
    `dvc repro` enters them again.
    """
    found = {path: md5(root / path) for path in expected if (root / path).exists()}
    lost = [f"{path} differs" for path in sorted(expected) if found.get(path) != expected[path]]
    lost += [f"{path} is new" for path in sorted(outputs(root / "dvc.lock").keys() - expected.keys())]
    rests = [*root.rglob(".*.tmp"), *(path for path in (root / ".checkpoints").rglob("*") if path.is_file())]
    return lost + [
        f"{path.relative_to(root)} is left" for path in rests if ".dvc" not in path.relative_to(root).parts[:1]
    ]
