"""Do harm to a small pipeline in every known way, and print what was tried and what was lost.

    python -m tests.faults [--kills 200] [--minutes 12] [--inputs 1000] [--in FOLDER]

Four processes work side by side, each with a pipeline of its own: each does a quarter of the kills, and those that end
first do the other campaigns. Kills stop after `--minutes`, as a slow machine ends fewer stages between two of them.
The exit status is 1 if anything was lost.
"""

import argparse
import sys
import tempfile
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from pathlib import Path

from tests import forked
from tests.faults import campaigns
from tests.repository import copied, made

PROCESSES = 4  # two for each core of a small machine, because each of them waits half of the time


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
                pool.submit(
                    campaigns.killed,
                    copied(repository, folder / f"kills{n}").path,
                    share,
                    options.minutes,
                    campaigns.SEED + n,
                )
                for n in range(PROCESSES)
            ]
            others = [
                pool.submit(campaigns.in_places, copied(repository, folder / "places").path),
                pool.submit(campaigns.inputs, options.inputs),
            ]
            lost = campaigns.table_of_kills([chain.result() for chain in chains])
            lost += [line for campaign in others for line in campaign.result()]
    print("\n".join(lost) or "nothing was lost")
    return int(bool(lost))


def _new(folder: Path) -> Path:
    folder.mkdir()
    return folder


if __name__ == "__main__":
    sys.exit(main())
