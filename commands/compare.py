"""Compare the headline metrics of two revisions, and tell which differences mean something.

    python -m commands.compare [OLD] [NEW]      # HEAD and the workspace, if not named

OLD and NEW are commits, branches, tags, names of experiments (`dvc exp save -n mine`) or `workspace`. The interval is
that of the difference, over 1,000 resamplings of the test images, the same for both sides. `seed` is the standard
deviation between trainings that differ in their seed alone (docs/results/deviation.json). In short, a change is better
or worse if 0 lies outside the interval and two trainings do not differ as much by chance; src/evaluation/verdict.py
holds the exact rule. Nothing is checked out, and nothing is written without `--page`. The exit status is 2 if there is
nothing to compare. With `--gate` it is 1 if a metric lies outside its band (docs/comparing.md).
"""

import json
from collections.abc import Iterable, Mapping, Sequence
from itertools import groupby
from pathlib import Path
from typing import Annotated, Any

from commands import second_page, tables
from commands.evidence import PREPARED, Missing, paired
from commands.revisions import WORKSPACE, Revision, revisions
from src.errors import InputError
from src.evaluation.headline import Headline, of
from src.evaluation.verdict import Change, band
from src.files.storage import write_json
from src.files.versions import differences, installed
from stages.command import command

DEVIATIONS = Path("docs/results/deviation.json")
ROWS, PAGE = Path("report/compared.json"), Path("report/compared.html")
Deviations = Mapping[str, Mapping[str, Any]]


def run(
    old: Annotated[str, "a revision or an experiment [HEAD]"] = "HEAD",
    new: Annotated[str, "another one [the workspace]"] = WORKSPACE,
    *,
    all: Annotated[bool, "every number of every metrics file, and nothing else"] = False,  # noqa: A002
    gate: Annotated[bool, "exit with 1 if a metric lies outside its band"] = False,
    md: Annotated[bool, "Markdown, for a pull request"] = False,
    page: Annotated[bool, f"write the report once more, with the comparison: {PAGE}"] = False,
) -> int:
    """Print the comparison; return 1 if `gate` is set and a metric lies outside its band."""
    if all + gate + page > 1:
        raise InputError("--all, --gate and --page cannot be used together: leave all but one out")
    root = Path()
    before, after = revisions([old, new], root)
    deviations = read_deviations(root / DEVIATIONS)
    print(f"old: {before.label}, new: {after.label}\n")
    if all:
        print(tables.every_number(before.metrics, after.metrics, markdown=md))
    elif gate:
        bands = {name: band(deviations.get(name)) for name in before.summary}
        text, outside = tables.gate(_values(before, after), bands, markdown=md)
        print(text)
        return int(bool(outside))
    else:
        changes, notes = compared(before, after, deviations)
        if new == WORKSPACE:
            notes += differences(root / "metrics", installed())
        print(tables.comparison(changes, notes, markdown=md))
        if page:
            write_json(ROWS, _for_the_page(before, after, changes, notes))
            second_page.write(PAGE, "--comparison", ROWS)
    return 0


def main(words: Sequence[str] | None = None) -> None:
    """Run the command line; an `InputError` ends it with one sentence and status 2."""
    command(run, words, status=2)


def read_deviations(path: Path) -> Deviations:
    """Read the committed deviations by metric; empty if there is no file. Invalid JSON is an `InputError`."""
    try:
        return json.loads(path.read_text())
    except FileNotFoundError:
        return {}
    except json.JSONDecodeError as error:
        raise InputError(f"{path} is not valid JSON: {error}") from None


def _for_the_page(old: Revision, new: Revision, changes: dict[str, Change], notes: list[str]) -> dict[str, Any]:
    """Return what src/report/revisions.py shows."""
    words = [" ".join(tables.LEGEND.split()), *tables.remarks(changes, notes)]
    sides = {"old": old.label, "new": new.label, "verdict": tables.verdict(changes)}
    return {**sides, "head": tables.HEAD, "rows": tables.rows(changes), "words": words}


def compared(old: Revision, new: Revision, deviations: Deviations) -> tuple[dict[str, Change], list[str]]:
    """Compare each headline metric of either side, by name; the sentences say for which there is no paired interval."""
    changes: dict[str, Change] = {}
    reasons: dict[str, list[str]] = {}
    for (method, _), group in groupby(of([*old.summary, *new.summary]), key=lambda item: (item.method, item.kind)):
        metrics = list(group)
        intervals, reason = _intervals(metrics, old, new)
        if reason:
            reasons.setdefault(reason, []).append(method)
        for metric in metrics:
            changes[metric.name] = Change(
                old=old.summary.get(metric.name),
                new=new.summary.get(metric.name),
                same_outputs=_same(old, new, _computed_of(metric)),
                interval=intervals.get(metric.name),
                errors=(_error(old, metric), _error(new, metric)),
                seed=deviations.get(metric.name, {}).get("seed"),
                same_models=_same(old, new, [f"models/{name}" for name in metric.models]),
            )
    return changes, [f"No paired interval for {', '.join(methods)}: {reason}." for reason, methods in reasons.items()]


def _intervals(
    metrics: Sequence[Headline], old: Revision, new: Revision
) -> tuple[dict[str, tuple[float, float]], str | None]:
    """Return the intervals of one method's metrics; if the outputs differ and there is no interval, the reason."""
    both = [metric for metric in metrics if metric.name in old.summary and metric.name in new.summary]
    if not both:
        return {}, None
    unchanged = all(old.summary[metric.name] == new.summary[metric.name] for metric in both)
    if unchanged and _same(old, new, _computed_of(both[0])):
        return {metric.name: (0.0, 0.0) for metric in both}, None
    try:
        return paired(both, old, new), None
    except Missing as missing:
        return {}, str(missing)


def _computed_of(metric: Headline) -> list[str]:
    outputs = [f"data/{metric.output}"]
    return outputs if metric.kind == "predictions" else [*outputs, PREPARED]


def _same(old: Revision, new: Revision, outputs: Iterable[str]) -> bool:
    """Tell whether both sides have the same files; a side whose files are not known counts as different."""
    return all(output in old.digests and old.digests[output] == new.digests.get(output) for output in outputs)


def _error(revision: Revision, metric: Headline) -> float | None:
    return revision.metrics.get(metric.file, {}).get("standard_error", {}).get(metric.key)


def _values(old: Revision, new: Revision) -> dict[str, Change]:
    names = dict.fromkeys([*old.summary, *new.summary])
    return {name: Change(old.summary.get(name), new.summary.get(name)) for name in names}


if __name__ == "__main__":
    main()
