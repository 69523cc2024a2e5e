"""Write the tables of docs/performance.md from docs/bench.json: `python -m benchmarks.bench_tables`."""

import json
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[1]
OUT = ROOT / "docs/bench.json"  # not in docs/results, on which the stage `report` depends
PAGE = ROOT / "docs/performance.md"
BEGIN = "<!-- bench: written by `python -m benchmarks.bench_tables`, held to docs/bench.json by tests -->\n"
END = "<!-- bench ends -->"
Row = Mapping[str, Any]


def written(page: str, results: Mapping[str, Any]) -> str:
    """Return a page whose part between the two marks is the tables."""
    before, rest = page.split(BEGIN)
    return f"{before}{BEGIN}{tables(results)}\n{rest[rest.index(END) :]}"


def tables(results: Mapping[str, Any]) -> str:
    """Return the table of pairs, the table of growing numbers of images, and where the figures come from."""
    parts: Mapping[str, Row] = results["parts"]
    rows = [row for part in parts.values() for row in part["rows"]]
    pairs = [_pair(row) for row in rows if "task" in row]
    growth = [_growth(row) for row in rows if "stage" in row]
    blocks = [
        _table(["task", "peer", "ours", "peer's time", "peer / ours", "remark"], pairs),
        _table(["stage", "images", "processor time per image", "largest memory"], growth),
        "\n".join(_sources(parts)),
    ]
    return "\n\n".join(block for block in blocks if block)


def _pair(row: Row) -> list[str]:
    if "missing" in row:
        return [row["task"], row["peer"] or "-", "-", "-", "-", row["missing"]]
    times = [_seconds(row[side]) if side in row else "-" for side in ("ours", "theirs")]
    ratio = "{:.2f} ({:.2f} to {:.2f})".format(*row["ratio"]) if "ratio" in row else "-"
    return [row["task"], row["peer"] or "-", *times, ratio, row["note"]]


def _growth(row: Row) -> list[str]:
    return [row["stage"], str(row["images"]), f"{row['seconds_per_image'] * 1e3:.1f} ms", f"{row['megabytes']} MB"]


def _seconds(values: Sequence[float]) -> str:
    """Write median, lowest and highest, in milliseconds if the median is below 0.1 s."""
    if values[0] < 0.1:
        return "{:.1f} ms ({:.1f} to {:.1f})".format(*(1e3 * value for value in values))
    return "{:.2f} s ({:.2f} to {:.2f})".format(*values)


def _table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    if not rows:
        return ""
    return "\n".join(f"| {' | '.join(line)} |" for line in [head, ["---"] * len(head), *rows])


def _sources(parts: Mapping[str, Row]) -> Iterator[str]:
    """Tell for each set of parts the machine, the commit and how busy the machine was; then the parts that failed."""
    keys = ("processor", "cores", "arithmetic", "torch", "commit", "quick", "photos")
    alike: dict[tuple[Any, ...], list[str]] = {}
    for name, part in parts.items():
        alike.setdefault(tuple(part[key] for key in keys), []).append(name)
    for values, names in alike.items():
        facts = dict(zip(keys, values, strict=True))
        loads = [parts[name]["load"] for name in names]
        yield (
            f"* {', '.join(f'`{name}`' for name in names)}: {facts['processor']}, {facts['cores']} cores, "
            f"arithmetic {facts['arithmetic']}, torch {facts['torch']}; "
            f"{'photos' if facts['photos'] else 'drawn scenes'}; commit {facts['commit']}. Load average "
            f"when the parts began, the parts before included: {min(loads):.1f} to {max(loads):.1f}."
        )
        if facts["quick"]:
            yield "  **A quick run: smallest inputs, one round. These figures show that the command works, no more.**"
    for name, part in parts.items():
        if part["error"]:
            yield f"* `{name}` {' '.join(part['error'].split())}"


def main() -> None:
    """Write the tables into the page."""
    PAGE.write_text(written(PAGE.read_text(), json.loads(OUT.read_text())))


if __name__ == "__main__":
    main()
