"""Each metric of the working tree beside the committed one: same, within tolerance, or different.

    python -m stages.compare_metrics [--strict] [REVISION]

One machine computes the same numbers each time. Another kind of machine adds in another order, and training carries
that on to the scores; hence the tolerances, which are stated below the table.
"""

import argparse
import json
import subprocess
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

METRICS = Path("metrics")
SCORE_TOLERANCE = 0.05  # of numbers that are shares, such as an average precision
COUNT_TOLERANCE = 0.10  # relative, of all other numbers


def main() -> None:
    """Print the table; with `--strict`, exit with 1 where a metric is different or missing."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("revision", nargs="?", default="HEAD")
    parser.add_argument("--strict", action="store_true")
    arguments = parser.parse_args()
    rows = [
        (path, key, old, new, verdict(old, new))
        for path in sorted(METRICS.glob("*.json"))
        for committed, present in [(committed_metrics(path, arguments.revision), json.loads(path.read_text()))]
        for key, old, new in pairs(committed, present)
    ]
    for path, key, old, new, word in rows:
        print(f"{path.stem:30} {key:38} {show(old):>12} {show(new):>12}  {word}")
    counts = {word: sum(row[-1] == word for row in rows) for word in ("same", "within tolerance", "different")}
    print(
        f"\ncolumns: file, metric, committed at {arguments.revision}, now. "
        + ", ".join(f"{v} {k}" for k, v in counts.items())
    )
    print(
        f"tolerance, for another kind of machine: {SCORE_TOLERANCE} for numbers within 0..1, "
        f"{COUNT_TOLERANCE:.0%} for others"
    )
    if arguments.strict and (counts["different"] or not rows):
        sys.exit(1)


def committed_metrics(path: Path, revision: str) -> dict[str, Any]:
    """The file's content at a revision; empty where it was not there."""
    found = subprocess.run(["git", "show", f"{revision}:{path.as_posix()}"], capture_output=True, text=True)
    return json.loads(found.stdout) if found.returncode == 0 else {}


def pairs(old: Mapping[str, Any], new: Mapping[str, Any]) -> Iterator[tuple[str, Any, Any]]:
    """(key, old, new) of every number, nested keys joined by dots; None on the side that lacks it."""
    flat_old, flat_new = dict(flatten(old)), dict(flatten(new))
    for key in dict.fromkeys([*flat_new, *flat_old]):
        yield key, flat_old.get(key), flat_new.get(key)


def flatten(values: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, Any]]:
    """Leaves of nested mappings under dotted keys."""
    for key, value in values.items():
        if isinstance(value, Mapping):
            yield from flatten(value, f"{prefix}{key}.")
        else:
            yield f"{prefix}{key}", value


def verdict(old: Any, new: Any) -> str:
    """`same`, `within tolerance` or `different`."""
    if old == new:
        return "same"
    if not isinstance(old, int | float) or not isinstance(new, int | float):
        return "different"
    share = 0 <= old <= 1 and 0 <= new <= 1 and isinstance(old, float)
    allowed = SCORE_TOLERANCE if share else COUNT_TOLERANCE * max(abs(old), abs(new))
    return "within tolerance" if abs(old - new) <= allowed else "different"


def show(value: Any) -> str:
    """A number as the metrics files hold it, or a dash."""
    return "-" if value is None else str(value)


if __name__ == "__main__":
    main()
