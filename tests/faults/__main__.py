"""Do harm to a small pipeline in every known way, and print what was tried and what was lost.

    python -m tests.faults [--kills 200] [--minutes 12] [--inputs 1000] [--in FOLDER]

Two processes work side by side, each with pipelines of its own: each does half of the kills, and then one of the other
campaigns. Kills stop after `--minutes`, because a slow machine ends fewer stages between two of them. The exit status
is 1 if anything was lost.
"""

import argparse
import sys
import tempfile
import time
from collections import Counter
from concurrent.futures import ProcessPoolExecutor
from functools import reduce
from multiprocessing import get_context
from pathlib import Path

import stages  # noqa: F401  # sets the limits of OpenCV before it is loaded
from tests import broken, broken_kinds, forked
from tests.faults import kills, places
from tests.repository import Repository, copied, made

SEED = 19
PROCESSES = 2  # as many as a small machine has cores


def main() -> int:
    """Run all campaigns, print their tables, and return 1 if something was lost."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--kills", type=int, default=200)
    parser.add_argument("--minutes", type=float, default=12)
    parser.add_argument("--inputs", type=int, default=1000)
    parser.add_argument("--in", dest="folder", type=Path, help="folder for the pipelines [a temporary one]")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as temporary:
        folder = options.folder or Path(temporary)
        folder.mkdir(parents=True, exist_ok=True)
        with forked.server(_new(folder / "commands")) as commands:
            repository = made(folder, commands)
        share = -(-options.kills // PROCESSES)
        with ProcessPoolExecutor(PROCESSES, get_context("spawn")) as pool:  # a fork would share the pipelines' servers
            chains = [
                pool.submit(_killed, copied(repository, folder / f"kills{n}").path, share, options.minutes, SEED + n)
                for n in range(PROCESSES)
            ]
            others = [
                pool.submit(_places, copied(repository, folder / "places").path),
                pool.submit(_inputs, options.inputs),
            ]
            lost = _kills([chain.result() for chain in chains])
            lost += [line for campaign in others for line in campaign.result()]
    print("\n".join(lost) or "nothing was lost")
    return int(bool(lost))


def _new(folder: Path) -> Path:
    folder.mkdir()
    return folder


def _places(path: Path) -> list[str]:
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


def _killed(path: Path, number: int, minutes: float, seed: int) -> kills.Kills:
    begin = time.monotonic()
    with tempfile.TemporaryDirectory() as temporary, kills.quick_dvc(Path(temporary), Repository(path)) as dvc:
        result = kills.campaign(dvc, number, end=begin + 60 * minutes, seed=seed)
    print(f"{result.number} kills of one chain after the other took {time.monotonic() - begin:.0f} s", flush=True)
    return result


def _kills(results: list[kills.Kills]) -> list[str]:
    result = reduce(kills.Kills.__add__, results)
    lines = [f"{'killed in':40}{'kills':>6}"]
    lines += [f"{stage:40}{count:6}" for stage, count in result.by_stage.most_common()]
    lines.append(
        f"{result.number} kills over {len(result.by_stage)} stages in {result.chains} runs to the end, "
        f"{result.mended} mended locks, {len(result.lost)} lost\n"
    )
    print("\n".join(lines), flush=True)
    return result.lost


def _inputs(number: int) -> list[str]:
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


if __name__ == "__main__":
    sys.exit(main())
