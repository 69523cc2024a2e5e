"""Measure the cost of the pinned arithmetic: processor time of a training step, native and pinned in turns.

    python -m benchmarks.pin_cost [--pairs 3] [--steps 10] [--batch 32]

Both modes use two threads here, so only the instructions differ. docs/reproducibility.md has the table.
"""

import argparse
import statistics
import subprocess
import sys
from collections.abc import Iterator

import numpy as np

from benchmarks.pairs import Row, Setting, in_turns, row
from stages import arithmetic

NATIVE = {"ARITHMETIC": "native", "OMP_NUM_THREADS": "2"}
PINNED = {"ARITHMETIC": "pinned"}


def main() -> None:
    """Print the table in Markdown."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--pairs", type=int, default=3)
    parser.add_argument("--steps", type=int, default=10)
    parser.add_argument("--batch", type=int, default=32)
    options = parser.parse_args()
    words = ["--seconds", str(options.steps), "--batch", str(options.batch)]
    pairs = [(run(NATIVE, words), run(PINNED, words)) for _ in range(options.pairs)]
    print(f"| a step of {options.batch} images | native | pinned | pinned over native, median (range) |")
    print("|---|---|---|---|")
    for name in pairs[0][0]:
        ratios = [pinned[name] / native[name] for native, pinned in pairs]
        native, pinned = (statistics.median(pair[mode][name] for pair in pairs) for mode in (0, 1))
        spread = f"{min(ratios):.2f} to {max(ratios):.2f}"
        print(f"| {name} | {native:.3f} s | {pinned:.3f} s | {statistics.median(ratios):.2f} ({spread}) |")


def rows(setting: Setting) -> Iterator[Row]:
    """Yield the rows of `make bench`: processor seconds of a step in both modes, one row per network."""
    found: dict[str, list[dict[str, float]]] = {"native": [], "pinned": []}
    batch = setting.size(8, 2)

    def measure(mode: str) -> float:
        variables = NATIVE if mode == "native" else PINNED
        found[mode].append(run(variables, ["--seconds", str(setting.size(3, 1)), "--batch", str(batch)]))
        return 0.0

    in_turns({mode: lambda mode=mode: measure(mode) for mode in found}, setting.rounds)  # type: ignore[misc]
    for name in found["pinned"][0]:
        pinned, native = (np.array([times[name] for times in found[mode]]) for mode in ("pinned", "native"))
        task = f"{name}, training step, {batch} images, processor time, pinned arithmetic"
        yield row(task, "native arithmetic", pinned, native)


def run(variables: dict[str, str], words: list[str]) -> dict[str, float]:
    """Measure every network in a new process, because the mode takes effect when libraries are loaded."""
    command = [sys.executable, "-m", "benchmarks.arithmetic", *words]
    environment = {**arithmetic.unpinned(), **variables}  # `benchmarks.all` is pinned
    done = subprocess.run(command, env=environment, check=True, capture_output=True, text=True)
    lines = [line.split() for line in done.stdout.splitlines()[1:]]
    return {name: float(processor) for name, processor, _ in lines}


if __name__ == "__main__":
    main()
