"""Run `dvc repro`, record the seconds of each stage that ran, and write a report with these times.

    python -m commands.timed_repro [arguments of dvc repro]

The pipeline's own report has no times, because it must be the same for the same inputs. This report is a file beside
it, outside git and DVC. A stage that was up to date keeps the time of its last run here.
"""

import os
import re
import subprocess
import sys
import time
from collections.abc import Iterable
from pathlib import Path

import pandas as pd
from ruamel.yaml import YAML

from src.files.storage import write_csv
from src.report.sizes import read_times

TIMES = Path("report/times.csv")
REPORT = Path("report/with_times.html")
BEGIN = re.compile(r"Running stage '([^']+)'")
END = re.compile(r"(Updating|Generating) lock file|Stage '[^']+' (didn't change|is cached)")


def main() -> None:
    """Run DVC, then write `report/times.csv` and `report/with_times.html`; if DVC fails, exit with its status."""
    durations, code = timed(["dvc", "repro", *sys.argv[1:]])
    known = read_times(TIMES) if TIMES.exists() else {}
    table = pd.DataFrame(list({**known, **durations}.items()), columns=["stage", "seconds"])
    write_csv(TIMES, table)
    if code:
        sys.exit(code)
    subprocess.run([sys.executable, *with_times(Path("dvc.yaml"))], check=True)


def timed(command: list[str]) -> tuple[dict[str, float], int]:
    """Run a command that prints what `dvc repro` prints, and show it; return seconds by stage, and the exit status."""
    environment = {**os.environ, "PYTHONUNBUFFERED": "1"}  # otherwise lines would come late, when a buffer is full
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=environment) as process:
        assert process.stdout is not None
        lines = ((print(line, end="", flush=True), time.monotonic(), line) for line in process.stdout)
        durations = seconds((when, line) for _, when, line in lines)
    return durations, process.returncode


def seconds(lines: Iterable[tuple[float, str]]) -> dict[str, float]:
    """Return the seconds of each stage, from the lines of `dvc repro` and the time of each line.

    A stage's time is that from the line that names it to the line that says that it is in the lock file, so it includes
    the hashing of the outputs. A stage that failed has no time.

    >>> seconds([(1.0, "Running stage 'propose':"), (1.1, "> python"), (4.0, "Updating lock file 'dvc.lock'")])
    {'propose': 3.0}
    """
    durations: dict[str, float] = {}
    name, begin = "", 0.0
    for when, line in lines:
        if started := BEGIN.match(line):
            name, begin = started[1], when
        elif name and END.match(line):
            durations[name] = round(when - begin, 3)
            name = ""
    return durations


def with_times(pipeline: Path) -> list[str]:
    """Return the arguments of the pipeline's command for the report, with the times and another output."""
    command = YAML(typ="safe").load(pipeline.read_text())["stages"]["report"]["cmd"].split()[1:]
    command[command.index("--out") + 1] = str(REPORT)
    return [*command, "--times", str(TIMES)]


if __name__ == "__main__":
    main()
