"""The campaigns of `make faults`. Each prints its table when it has ended, and returns a line for each loss."""

import signal
import tempfile
import time
from collections import Counter
from functools import reduce
from pathlib import Path

import stages  # noqa: F401  # sets the limits of OpenCV before it is loaded
from tests import broken, broken_kinds, forked
from tests.faults import kills, places
from tests.repository import Repository

SEED = 19


def in_places(path: Path) -> list[str]:
    """Try full disks, read-only disks and damaged inputs in the repository at `path`; return what was lost."""
    begin = time.monotonic()
    with tempfile.TemporaryDirectory() as temporary, forked.server(Path(temporary)) as commands:
        repository = Repository(path, commands)
        outcomes = list(places.tried(repository, places.cases(path), SEED))
    lines = [f"{'fault':18}{'tried':>7}{'a sentence':>12}{'lost':>6}{'refused by the machine':>24}"]
    for fault in places.SENTENCES:
        of_fault = [outcome.lost for outcome in outcomes if outcome.case.fault == fault]
        refused, sentences = of_fault.count(None), of_fault.count("")
        lost = len(of_fault) - refused - sentences
        lines.append(f"{fault:18}{len(of_fault) - refused:7}{sentences:12}{lost:6}{refused:24}")
    lines.append(f"{len({outcome.case.stage for outcome in outcomes})} stages, {time.monotonic() - begin:.0f} s\n")
    print("\n".join(lines), flush=True)
    return [outcome.lost for outcome in outcomes if outcome.lost]


def killed(path: Path, number: int, minutes: float, seed: int) -> kills.Kills:
    """Kill runs of the repository at `path` until there were enough kills, or for some minutes."""
    # A background job of a shell ignores Ctrl-C, and so would all processes that it starts.
    signal.signal(signal.SIGINT, signal.default_int_handler)
    begin = time.monotonic()
    with tempfile.TemporaryDirectory() as temporary, kills.quick_dvc(Path(temporary), Repository(path)) as dvc:
        result = kills.campaign(dvc, number, end=begin + 60 * minutes, seed=seed)
    print(f"{result.number} kills of one chain after the other took {time.monotonic() - begin:.0f} s", flush=True)
    return result


def table_of_kills(results: list[kills.Kills]) -> list[str]:
    """Print the kills of all chains by stage; return what was lost."""
    result = reduce(kills.Kills.__add__, results)
    lines = [f"{'killed in':40}{'kills':>6}"]
    lines += [f"{stage:40}{count:6}" for stage, count in result.by_stage.most_common()]
    lines.append(
        f"{result.number} kills over {len(result.by_stage)} stages in {result.chains} runs to the end, "
        f"{result.mended} mended locks, {len(result.lost)} lost\n"
    )
    print("\n".join(lines), flush=True)
    return result.lost


def inputs(number: int) -> list[str]:
    """Try about so many broken inputs; return what was lost."""
    begin = time.monotonic()
    table, lost = broken.campaign(broken_kinds.all_kinds(), number)
    total: Counter[str] = sum((counts for _, counts in table), Counter())
    lines = [f"{'input':14}" + "".join(f"{column:>11}" for column in ("tried", *broken.COLUMNS))]
    for name, counts in [*table, ("all", total)]:
        numbers = counts.total(), *(counts[column] for column in broken.COLUMNS)
        lines.append(f"{name:14}" + "".join(f"{count:11}" for count in numbers))
    lines.append(f"{time.monotonic() - begin:.0f} s\n")
    print("\n".join(lines), flush=True)  # at once, because another process prints too
    return lost
