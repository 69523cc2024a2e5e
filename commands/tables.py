"""The output of `python -m commands.compare`, as aligned text or as Markdown."""

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

from commands.nested import flatten
from src.evaluation.bootstrap import RESAMPLES
from src.evaluation.headline import Metrics
from src.evaluation.verdict import WORDS, Change, word

HEAD = ["metric", "old", "new", "change", "95 % interval", "seed", "verdict"]
LEGEND = f"""\
interval: 95 %, of the change with other test images: {RESAMPLES:,} draws of the test images, the same for both sides.
seed: standard deviation between trainings that differ in their seed alone; two of them differ by up to 2.8 times that.
same: same value of the same outputs. better, worse: 0 lies outside the interval, and the change exceeds 2.8 seed
deviations, where anything was trained anew and the deviation is known. noise: anything else."""
INDEPENDENT = "Without one, 1.96 standard errors of two independent figures stand in its place."
UNKNOWN = "Where `seed` is a dash, how far trainings differ is not known, and the word rests on the test images alone."


def comparison(changes: Mapping[str, Change], notes: Sequence[str], *, markdown: bool = False) -> str:
    """Return the headline metrics with interval, seed deviation and word, the notes on them, and the verdict."""
    lines = [LEGEND, *remarks(changes, notes)]
    return "\n\n".join([_table(HEAD, rows(changes), markdown), "\n".join(lines), verdict(changes)])


def rows(changes: Mapping[str, Change]) -> list[list[str]]:
    """Return a row per metric, its cells in the order of `HEAD`; what is not known is a dash."""
    return [
        [
            name,
            _number(change.old),
            _number(change.new),
            _signed(change.difference),
            _interval(change),
            _seed(change),
            word(change),
        ]
        for name, change in changes.items()
    ]


def remarks(changes: Mapping[str, Change], notes: Sequence[str]) -> list[str]:
    """Return the notes, and sentences on intervals and deviations that are not known."""
    lines = [*notes]
    if notes and any(change.interval is None and change.difference is not None for change in changes.values()):
        lines.append(INDEPENDENT)
    if any(_seed(change) == "-" and word(change) in ("better", "worse", "noise") for change in changes.values()):
        lines.append(UNKNOWN)
    return lines


def verdict(changes: Mapping[str, Change]) -> str:
    """Return one line: `Verdict: 1 better, 0 worse, 3 noise, 9 same.`; the other words are listed if they occur."""
    counts = Counter(word(change) for change in changes.values())
    parts = [f"{counts[name]} {name}" for name in WORDS if name in WORDS[:4] or counts[name]]
    return f"Verdict: {', '.join(parts)}."


def gate(changes: Mapping[str, Change], bands: Mapping[str, float], *, markdown: bool = False) -> tuple[str, list[str]]:
    """Return a table of metrics and bands, and the names of those outside their band, on either side, or gone.

    Args:
        changes: by name; `old` is the committed figure.
        bands: the largest allowed distance of `new` from `old`, per metric that has an old figure.
        markdown: True for a Markdown table, False for aligned text.
    """
    words = {name: _inside(change, bands.get(name, 0.0)) for name, change in changes.items()}
    rows = [
        [
            name,
            _number(change.old),
            _number(change.new),
            _signed(change.difference),
            _number(bands.get(name)),
            words[name],
        ]
        for name, change in changes.items()
    ]
    outside = [name for name, result in words.items() if result in ("worse", "better", "gone")]
    lines = [
        "band: how far a metric may lie from the committed one on another kind of machine; the larger of 0.03 and 3 "
        "sqrt(2)\ntimes the larger of its deviations over seeds and over arithmetics."
    ]
    if better := [name for name in outside if words[name] == "better"]:
        lines.append(f"Better beyond the band: commit the new figures of {', '.join(better)} if the change is meant.")
    if worse := [name for name in outside if words[name] != "better"]:
        lines.append(f"Worse beyond the band, or gone: {', '.join(worse)}.")
    if new := [name for name, result in words.items() if result == "new"]:
        lines.append(f"Not committed yet: {', '.join(new)}.")
    lines.append(f"Gate: {'FAILED' if outside else 'passed'}, {len(outside)} of {len(rows)} metrics outside the band.")
    table = _table(["metric", "committed", "now", "change", "band", "result"], rows, markdown)
    return "\n\n".join([table, *lines]), outside


def every_number(old: Metrics, new: Metrics, *, markdown: bool = False) -> str:
    """Return a table of every value of every metrics file on both sides; a missing value is a dash."""
    rows = []
    for file in sorted({*old, *new}):
        sides = [dict(flatten(metrics.get(file, {}))) for metrics in (old, new)]
        for key in dict.fromkeys(key for side in reversed(sides) for key in side):
            before, after = (side.get(key) for side in sides)
            rows.append([file, key, _plain(before), _plain(after), _signed(_difference(before, after))])
    differ = sum(row[2] != row[3] for row in rows)
    table = _table(["file", "metric", "old", "new", "change"], rows, markdown, left=("file", "metric"))
    return f"{table}\n\n{differ} of {len(rows)} numbers differ."


def _inside(change: Change, allowed: float) -> str:
    if change.difference is None:
        return "-" if change.old is None is change.new else "new" if change.old is None else "gone"
    if abs(change.difference) <= allowed:
        return "inside"
    return "better" if change.difference > 0 else "worse"


def _table(
    head: Sequence[str],
    rows: Sequence[Sequence[str]],
    markdown: bool,
    left: Sequence[str] = ("metric", "verdict", "result"),
) -> str:
    """Format a table: the columns in `left` are aligned to the left, the others to the right."""
    if markdown:
        return "\n".join(f"| {' | '.join(line)} |" for line in [head, ["---"] * len(head), *rows])
    widths = [max(map(len, column)) for column in zip(head, *rows, strict=True)]
    signs = ["<" if name in left else ">" for name in head]
    lines = ["  ".join(map("{:{}{}}".format, line, signs, widths)).rstrip() for line in [head, *rows]]
    return "\n".join(lines)


def _number(value: float | None) -> str:
    return "-" if value is None else f"{value:.4f}"


def _signed(value: float | None) -> str:
    return "-" if value is None else "0" if value == 0 else f"{value:+.4f}"


def _interval(change: Change) -> str:
    if change.interval is None:
        return "-"
    return "0" if change.interval == (0, 0) else " .. ".join(f"{bound:+.4f}" for bound in change.interval)


def _seed(change: Change) -> str:
    return "same model" if change.same_models else _number(change.seed)


def _plain(value: Any) -> str:
    return "-" if value is None else str(value)


def _difference(old: Any, new: Any) -> float | None:
    both = isinstance(old, int | float) and isinstance(new, int | float)
    return new - old if both else None
