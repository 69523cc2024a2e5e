"""Measure how long the help of each stage and each command takes: `python -m benchmarks.starts [--runs 3] [WORD ...]`.

Each run is a new process. The table has the median of the seconds on the clock, which other programs lengthen, and of
the processor time. The words choose the scripts whose names contain one of them; without words, all are measured.
"""

import argparse
import re
import resource
import statistics
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import numpy as np

from benchmarks.pairs import Row, Setting, alone, missing

ROOT = Path(__file__).parents[1]
FOLDERS = ("stages", "commands")


class Start(NamedTuple):
    """Seconds of one process."""

    clock: float
    processor: float  # user and system


def main() -> None:
    """Print the table in Markdown, the slowest first."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--runs", type=int, default=3)
    parser.add_argument("words", nargs="*")
    options = parser.parse_args()
    chosen = [name for name in scripts(ROOT) if not options.words or any(word in name for word in options.words)]
    medians = {}
    for name in chosen:
        starts = [start(name) for _ in range(options.runs)]
        medians[name] = Start(*(statistics.median(values) for values in zip(*starts, strict=True)))
    print(f"| `python -m ... --help`, median of {options.runs} | clock | processor |")
    print("|---|---|---|")
    for name, median in sorted(medians.items(), key=lambda item: -item[1].processor):
        print(f"| {name} | {median.clock:.2f} s | {median.processor:.2f} s |")


def rows(setting: Setting) -> Iterator[Row]:
    """Yield the rows of `make bench`: the help of some stages and commands, and `dvc repro` with nothing to do."""
    for name in ("commands.predict", "commands.demo", "stages.check", "stages.propose", "stages.train_detector"):
        starts = [start(name) for _ in range(setting.rounds)]
        note = f"processor time {statistics.median(taken.processor for taken in starts):.2f} s"
        yield alone(f"python -m {name} --help", np.array([taken.clock for taken in starts]), note)
    task, dvc = "dvc repro with nothing to do", str(Path(sys.executable).with_name("dvc"))
    if would_run(subprocess.run([dvc, "repro", "--dry"], cwd=ROOT, capture_output=True, text=True, check=True).stdout):
        yield missing(task, "", "the pipeline has not run here: `make repro`")
        return
    yield alone(task, np.array([idle(dvc) for _ in range(setting.rounds)]))


def would_run(said: str) -> set[str]:
    r"""Return the stages that DVC would run by the output of `dvc repro --dry`, without `watch`, which always runs.

    >>> would_run("Running stage 'watch':\nStage 'check' didn't change, skipping\nRunning stage 'propose':")
    {'propose'}
    """
    return set(re.findall(r"Running stage '([^']+)'", said)) - {"watch"}


def idle(dvc: str) -> float:
    """Return the seconds of `dvc repro` in this folder, whose pipeline has run."""
    begin = time.perf_counter()
    subprocess.run([dvc, "repro"], cwd=ROOT, capture_output=True, check=True)
    return time.perf_counter() - begin


def scripts(root: Path) -> list[str]:
    """Return the modules of `FOLDERS` that can be run, by name."""
    paths = sorted(path for folder in FOLDERS for path in (root / folder).glob("*.py"))
    return [f"{path.parent.name}.{path.stem}" for path in paths if "__main__" in path.read_text()]


def start(name: str) -> Start:
    """Ask a module for its help, and return the seconds; its exit status does not matter."""
    used, begin = resource.getrusage(resource.RUSAGE_CHILDREN), time.perf_counter()
    subprocess.run([sys.executable, "-m", name, "--help"], cwd=ROOT, capture_output=True)
    clock, now = time.perf_counter() - begin, resource.getrusage(resource.RUSAGE_CHILDREN)
    return Start(clock, now.ru_utime + now.ru_stime - used.ru_utime - used.ru_stime)


if __name__ == "__main__":
    main()
