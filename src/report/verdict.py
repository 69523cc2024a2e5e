"""The first screen: which detector finds most, by how much, and what each of them loses most by."""

import math
from collections.abc import Mapping, Sequence
from typing import Any

from src.evaluation.mistakes import BACKGROUND, CONFUSION, DUPLICATE, LOCALISATION, MISSED
from src.evaluation.verdict import NORMAL_95
from src.report.blocks import Block, Chart, Columns, Lead, Paragraph, Section, Table, number
from src.report.charts import Bar, bar_chart
from src.report.inputs import Inputs, title
from src.report.speed import against_time

MAP = "map_voc07"
Figures = Mapping[str, Mapping[str, Any]]  # metrics by detector
Costs = Mapping[str, Mapping[str, float]]  # mAP by kind of mistake, by detector
SMALLEST = 0.0005  # a cost below it reads as 0.000
LOSSES = {
    LOCALISATION: "misplaced boxes",
    DUPLICATE: "second boxes on an object that is found",
    CONFUSION: "objects taken for another class",
    BACKGROUND: "background taken for an object",
    MISSED: "objects without any box near them",
}
ERRORS = (
    "The number after ± is the standard error over test images: other images of the same kind would move a figure by "
    "about as much. A new training with another seed would move it too."
)
ABOUT_COSTS = (
    "A cost is the gain in mAP if all mistakes of one kind were put right and nothing else (TIDE, Bolya et al. 2020). "
    "All detections count here, not the best ranked alone. Costs do not add up to what is missing from 1, because one "
    "mistake can hide the cost of another."
)


def section(inputs: Inputs) -> Section:
    """Show the sentence, a chart of mAP with its errors, and a table of costs; without detectors one sentence.

    A page with times also has a chart of mAP against seconds per image.
    """
    figures = inputs.figures("*.json")
    detectors = {name: figures[name] for name in inputs.named("plots/pr_*.csv")}
    classifiers = {name: figures[name] for name in inputs.named("plots/confusion_*.csv")}
    blocks: list[Block] = [Lead(sentence(len(inputs.test_ids), detectors, inputs.costs))]
    if rated := best_first(detectors):
        colours = list(detectors)
        bars = [Bar(title(name), *score(detectors[name]), colours.index(name)) for name in rated]
        words = "; ".join(written(name, detectors[name]) for name in rated)
        chart = Chart(bar_chart("verdict", bars, "VOC07 mAP at IoU 0.5"), f"mAP of the detectors: {words}.", ERRORS)
        speed = against_time(inputs, {name: score(detectors[name]) for name in rated})
        blocks.append(Columns([[chart, *speed], [_costs(rated, inputs.costs), Paragraph(ABOUT_COSTS)]]))
    if classifiers:
        blocks.append(Paragraph(_classified(classifiers, inputs.classifiers)))
    return Section("Verdict", "verdict", blocks)


def sentence(images: int, detectors: Figures, costs: Costs) -> str:
    """Say in one sentence which detector has the highest mAP, if more than the errors separates it from the others.

    Two detectors differ if their distance is more than 1.96 standard errors of the difference of two independent
    figures. Both were measured on the same images, so this asks for more than a paired test would.

    Args:
        images: number of test images.
        detectors: metrics by detector; one whose mAP is None was not rated, and is left out.
        costs: of each rated detector.
    """
    rated = best_first(detectors)
    if not rated:
        return f"No detector was rated on these {images} test images."
    first, *others = rated
    figures = ", ".join(written(name, detectors[name]) for name in rated)
    level = [name for name in others if not differ(detectors[first], detectors[name])]
    if not others:
        start = f"{title(first)} is the only detector"
    elif level:
        start = f"the errors are larger than what separates {_listed([title(name) for name in (first, *level)])}"
    else:
        start = f"{title(first)} finds most"
    return f"On these {images} test images {start}: mAP {figures}{_lost(rated, costs)}."


def best_first(detectors: Figures) -> list[str]:
    """Sort the detectors that have an mAP by falling mAP."""
    return sorted((name for name in detectors if detectors[name][MAP] is not None), key=lambda n: -detectors[n][MAP])


def score(metrics: Mapping[str, Any]) -> tuple[float, float | None]:
    """Return mAP and its standard error; None if the error is not known."""
    return metrics[MAP], metrics.get("standard_error", {}).get(MAP)


def differ(metrics: Mapping[str, Any], other: Mapping[str, Any]) -> bool:
    """Check that more than the errors separates two mAPs; an unknown error counts as 0.

    >>> worse, better = ({MAP: value, "standard_error": {MAP: 0.01}} for value in (0.60, 0.65))
    >>> differ(worse, better), differ(worse, worse)
    (True, False)
    """
    (value, error), (value_2, error_2) = score(metrics), score(other)
    return abs(value - value_2) > NORMAL_95 * math.hypot(error or 0.0, error_2 or 0.0)


def written(name: str, metrics: Mapping[str, Any]) -> str:
    """Write a detector's mAP with its error, as in "SSD 0.850 ± 0.008"."""
    value, error = score(metrics)
    return f"{title(name)} {value:.3f}" + ("" if error is None else f" ± {error:.3f}")


def _lost(rated: Sequence[str], costs: Costs) -> str:
    """Name the kind of mistake that costs each detector most; no text for one that no kind costs 0.001 or more."""
    by_kind: dict[str, list[str]] = {}
    for name in rated:
        kind, most = max(costs[name].items(), key=lambda item: item[1])
        if most >= SMALLEST:
            by_kind.setdefault(kind, []).append(f"{title(name)} {most:.3f}")
    words = " and ".join(f"to {LOSSES[kind]} ({', '.join(names)})" for kind, names in by_kind.items())
    return f"; most is lost {words}" if words else ""


def _costs(rated: Sequence[str], costs: Costs) -> Table:
    """Show a row per kind of mistake and a column per detector; the shade is the cost beside the highest of all."""
    kinds = list(LOSSES)
    highest = max(max(costs[name].values()) for name in rated) or 1.0
    rows = [[f"{kind}: {LOSSES[kind]}", *(number(costs[name][kind]) for name in rated)] for kind in kinds]
    shades = [[max(costs[name][kind], 0.0) / highest for name in rated] for kind in kinds]
    caption = "What each kind of mistake costs, in mAP"
    return Table(caption, ["mistake", *map(title, rated)], rows, shades)


def _classified(classifiers: Figures, sections: Mapping[str, Any]) -> str:
    words = [
        f"{title(name)} names {metrics['accuracy']:.3f} of {metrics['images']} test images of {sections[name]['data']} "
        f"right (always the most frequent class: {metrics['accuracy_most_frequent']:.3f})"
        for name, metrics in classifiers.items()
    ]
    return f"Classifiers: {'; '.join(words)}."


def _listed(names: Sequence[str]) -> str:
    """Join names as in "A, B and C"; at least two."""
    return f"{', '.join(names[:-1])} and {names[-1]}"
