"""Do harm to a small pipeline in every known way, and print what was tried and what was lost.

    python -m tests.faults [--kills 200] [--minutes 8] [--inputs 1000] [--in FOLDER]

Kills stop after `--minutes`, because a slow machine ends fewer stages between two of them. The exit status is 1 if
anything was lost.
"""

import argparse
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path

import stages  # noqa: F401  # sets the limits of OpenCV before it is loaded
from tests import broken, broken_kinds, forked
from tests.faults import kills, places
from tests.repository import Repository, copied, made

SEED = 19


def main() -> int:
    """Run all campaigns, print their tables, and return 1 if something was lost."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--kills", type=int, default=200)
    parser.add_argument("--minutes", type=float, default=8)
    parser.add_argument("--inputs", type=int, default=1000)
    parser.add_argument("--in", dest="folder", type=Path, help="folder for the pipelines [a temporary one]")
    options = parser.parse_args()
    lost: list[str] = []
    with tempfile.TemporaryDirectory() as temporary:
        folder = options.folder or Path(temporary)
        folder.mkdir(parents=True, exist_ok=True)
        with forked.server(_new(folder / "commands")) as commands:
            repository = made(folder, commands)
            lost += _places(copied(repository, folder / "places"))
            lost += _kills(copied(repository, folder / "kills"), options.kills, options.minutes)
    lost += _inputs(options.inputs)
    print("\n".join(lost) or "nothing was lost")
    return int(bool(lost))


def _new(folder: Path) -> Path:
    folder.mkdir()
    return folder


def _places(repository: Repository) -> list[str]:
    begin = time.monotonic()
    outcomes = list(places.tried(repository, places.cases(repository.path), SEED))
    print(f"{'fault':18}{'tried':>7}{'a sentence':>12}{'lost':>6}{'refused by the machine':>24}")
    for fault in places.SENTENCES:
        of_fault = [outcome.lost for outcome in outcomes if outcome.case.fault == fault]
        refused, sentences = of_fault.count(None), of_fault.count("")
        lost = len(of_fault) - refused - sentences
        print(f"{fault:18}{len(of_fault) - refused:7}{sentences:12}{lost:6}{refused:24}")
    print(f"{len({outcome.case.stage for outcome in outcomes})} stages, {time.monotonic() - begin:.0f} s\n", flush=True)
    return [outcome.lost for outcome in outcomes if outcome.lost]


def _kills(repository: Repository, number: int, minutes: float) -> list[str]:
    begin = time.monotonic()
    with tempfile.TemporaryDirectory() as temporary, kills.quick_dvc(Path(temporary), repository) as dvc:
        result = kills.campaign(dvc, number, end=begin + 60 * minutes, seed=SEED)
    print(f"{'killed in':40}{'kills':>6}")
    for stage, count in result.by_stage.most_common():
        print(f"{stage:40}{count:6}")
    print(
        f"{result.number} kills over {len(result.by_stage)} stages in {result.chains} runs to the end, "
        f"{result.mended} mended locks, {len(result.lost)} lost, {time.monotonic() - begin:.0f} s\n",
        flush=True,
    )
    return result.lost


def _inputs(number: int) -> list[str]:
    table, lost = broken.campaign(broken_kinds.all_kinds(), number)
    total: Counter[str] = sum((counts for _, counts in table), Counter())
    print(f"{'input':14}" + "".join(f"{column:>11}" for column in ("tried", *broken.COLUMNS)))
    for name, counts in [*table, ("all", total)]:
        print(f"{name:14}" + "".join(f"{count:11}" for count in (counts.total(), *(counts[c] for c in broken.COLUMNS))))
    return lost


if __name__ == "__main__":
    sys.exit(main())
