"""Run `dvc repro`, note the seconds of each stage that ran, and make a report that has them.

    python -m commands.timed_repro [what dvc repro takes]

The pipeline's own report has no times, for it is the same for the same inputs; this one lies beside it, outside of git
and DVC. A stage that was up to date keeps the time of its last run here.
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
    """Run, then write `report/times.csv` and `report/with_times.html`; exit as DVC does where it fails."""
    found, code = timed(["dvc", "repro", *sys.argv[1:]])
    known = read_times(TIMES) if TIMES.exists() else {}
    table = pd.DataFrame(list({**known, **found}.items()), columns=["stage", "seconds"])
    write_csv(TIMES, table)
    if code:
        sys.exit(code)
    subprocess.run([sys.executable, *with_times(Path("dvc.yaml"))], check=True)


def timed(command: list[str]) -> tuple[dict[str, float], int]:
    """Seconds by stage, and the exit status, of a command that says what `dvc repro` says; it is shown as it comes."""
    environment = {**os.environ, "PYTHONUNBUFFERED": "1"}  # or a line would come when a buffer is full
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=environment) as process:
        assert process.stdout is not None
        lines = ((print(line, end="", flush=True), time.monotonic(), line) for line in process.stdout)
        found = seconds((when, line) for _, when, line in lines)
    return found, process.returncode


def seconds(lines: Iterable[tuple[float, str]]) -> dict[str, float]:
    """How long each stage ran, from the lines of `dvc repro` and when each came.

    A stage's time is from the line that names it to the one that says that it is in the lock file, so with the hashing
    of its outputs. One that failed has none.

    >>> seconds([(1.0, "Running stage 'propose':"), (1.1, "> python"), (4.0, "Updating lock file 'dvc.lock'")])
    {'propose': 3.0}
    """
    found: dict[str, float] = {}
    name, begin = "", 0.0
    for when, line in lines:
        if started := BEGIN.match(line):
            name, begin = started[1], when
        elif name and END.match(line):
            found[name] = round(when - begin, 3)
            name = ""
    return found


def with_times(pipeline: Path) -> list[str]:
    """The arguments of the pipeline's own command that makes the report, with the times and another output."""
    command = YAML(typ="safe").load(pipeline.read_text())["stages"]["report"]["cmd"].split()[1:]
    command[command.index("--out") + 1] = str(REPORT)
    return [*command, "--times", str(TIMES)]


if __name__ == "__main__":
    main()
