"""Run `dvc repro`, record the seconds and the memory of each stage that ran, and write a report with them.

    python -m commands.timed_repro [--no-page] [arguments of dvc repro]

The pipeline's own report has no times, because it must be the same for the same inputs. This report is a file beside
it, outside git and DVC; with `--no-page`, as `make repro` calls it, there is none. A stage that was up to date keeps
the time and the memory of its last run here. While DVC runs, a line per stage says which of how many it is, and how
long the rest may take by these times. Memory is the most that all processes of a stage held at one moment.
"""

import os
import re
import subprocess
import sys
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from pathlib import Path

from commands import second_page, unlock
from commands.resident import Resident
from src.errors import InputError
from src.files.storage import write_csv

TIMES = Path("report/times.csv")
REPORT = Path("report/with_times.html")
NO_PAGE = "--no-page"
BEGIN = re.compile(r"Running stage '([^']+)'")
PASSED = re.compile(r"Stage '([^']+)' (didn't change|is cached)")
# DVC does not name the lock file if a stage made what stands there already, as in a fresh clone: the next line ends it.
END = re.compile(r"(Updating|Generating) lock file|Stage '[^']+' (didn't change|is cached)|Use `dvc push`")


def main() -> None:
    """Run DVC, then write `report/times.csv` and `report/with_times.html`; if DVC fails, exit with its status.

    Ctrl-C ends both with status 130, as a shell has it; DVC goes on where it stopped at the next call.
    """
    if {"-h", "--help"} & set(sys.argv[1:]):
        print(__doc__)
        return

    import pandas as pd  # here, not above: --help does not wait for it

    from src.report.sizes import Use, read_times

    _look_for_others()
    known = read_times(TIMES) if TIMES.exists() else {}
    words = [word for word in sys.argv[1:] if word != NO_PAGE]
    progress = Progress(stage_names(), {stage: use.seconds for stage, use in known.items()})
    try:
        runs, code = timed(["dvc", "repro", *words], progress)
    except KeyboardInterrupt:
        sys.exit(130)
    rows = [(stage, *use) for stage, use in {**known, **runs}.items()]
    write_csv(TIMES, pd.DataFrame(rows, columns=["stage", *Use._fields]))
    if code:
        sys.exit(code)
    if NO_PAGE not in sys.argv:
        second_page.write(REPORT, "--times", TIMES)


def _look_for_others() -> None:
    """Print which other runs work here, and mend DVC's lock file, which would stop this run."""
    try:
        lines = [f"another run works here, and this one may have to wait: {other}" for other in unlock.running(Path())]
        for line in (*unlock.mend(Path()), *lines):
            print(line)
    except InputError as error:
        sys.exit(f"timed_repro: {error}")


class Progress:
    """The place of each line of `dvc repro` in the pipeline."""

    def __init__(self, stages: Sequence[str], seconds: Mapping[str, float]) -> None:
        """Begin before the first stage.

        Args:
            stages: names of all stages; if it is empty, nothing is said.
            seconds: of the last run of each stage; stages may lack.
        """
        self.left, self.total, self.seconds = dict.fromkeys(stages), len(stages), seconds

    def __call__(self, line: str) -> str:
        """Return the sentence for a line that begins a stage, and an empty text for all other lines.

        The time left is that of all stages that DVC has not named yet, as if each had to run: it is the most that the
        rest takes, and less if stages are up to date.

        >>> progress = Progress(["check", "propose", "report"], {"propose": 100.0, "report": 20.0})
        >>> progress("Stage 'check' didn't change, skipping"), progress("Running stage 'propose':")
        ('', 'stage 2 of 3, propose; at most about 2 min left')
        """
        if passed := PASSED.match(line):
            self.left.pop(passed[1], None)
        if not (started := BEGIN.match(line)) or started[1] not in self.left:
            return ""
        place = f"stage {self.total - len(self.left) + 1} of {self.total}, {started[1]}"
        known = [self.seconds[name] for name in self.left if name in self.seconds]
        unknown = len(self.left) - len(known)
        del self.left[started[1]]
        if not known:
            return place
        without = f", without {unknown} of the stages, which never ran here" if unknown else ""
        return f"{place}; at most about {_words(sum(known))} left{without}"


def _words(seconds: float) -> str:
    return f"{seconds:.0f} s" if seconds < 60 else f"{seconds / 60:.0f} min"


def stage_names() -> list[str]:
    """Return the names of the pipeline's stages; none if its parameters lack one, because DVC itself says so."""
    from src.report.stages import read_pipeline

    try:
        return [stage.name for stage in read_pipeline(Path("dvc.yaml"), Path("params.yaml"))]
    except InputError:
        return []


def timed(
    command: list[str], progress: Callable[[str], str] = lambda line: ""
) -> tuple[dict[str, tuple[float, float]], int]:
    """Run a command that prints what `dvc repro` prints, and show it.

    `progress` returns a text to print after a line, or an empty one.

    Returns:
        Seconds and most megabytes of memory by stage, and the exit status.
    """
    environment = {**os.environ, "PYTHONUNBUFFERED": "1"}  # otherwise lines would come late, when a buffer is full
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=environment) as process:
        assert process.stdout is not None
        with Resident(process.pid) as memory:
            moments = intervals(_shown(process.stdout, progress))
    runs = {
        name: (round(end - begin, 3), round(memory.peak(begin, end) / 1e6, 0)) for name, (begin, end) in moments.items()
    }
    return runs, process.returncode


def _shown(lines: Iterable[str], progress: Callable[[str], str]) -> Iterator[tuple[float, str]]:
    for line in lines:
        print(line, end="", flush=True)
        if text := progress(line):
            print(text, flush=True)
        yield time.monotonic(), line


def intervals(lines: Iterable[tuple[float, str]]) -> dict[str, tuple[float, float]]:
    """Return the times at which each stage began and ended, from the lines of `dvc repro` and the time of each line.

    A stage lasts from the line that names it to DVC's next line about the lock file or another stage, so that the
    hashing of the outputs belongs to it. A stage that failed, which DVC says on stderr and stops, has no times.

    >>> intervals([(1.0, "Running stage 'propose':"), (1.1, "> python"), (4.0, "Updating lock file 'dvc.lock'")])
    {'propose': (1.0, 4.0)}
    """
    found: dict[str, tuple[float, float]] = {}
    name, begin = "", 0.0
    for when, line in lines:
        started = BEGIN.match(line)
        if name and (started or END.match(line)):
            found[name] = begin, when
            name = ""
        if started:
            name, begin = started[1], when
    return found


if __name__ == "__main__":
    main()
