"""Precision-recall curves of every detector: all in one chart, then one chart per class."""

import pandas as pd

from src.report.blocks import Chart, Grid, Paragraph, Section
from src.report.charts import SHARE, Line, line_chart
from src.report.inputs import Inputs, title

MOST_CLASSES = 8  # in one chart; with more classes, colours would repeat
AXES = ("recall", "precision")


def section(inputs: Inputs) -> Section:
    """Show a chart of all curves, if there are few classes, and one chart per class."""
    curves, aps = inputs.tables("plots/pr_*.csv"), inputs.figures("*.json")
    classes = inputs.images.classes
    by_class = [_of_class(number, name, curves, aps) for number, name in enumerate(classes)]
    of_all = [_of_all(classes, curves)] if len(classes) <= MOST_CLASSES else []
    text = "Test images; VOC's matching at IoU 0.5. AP is that of VOC 2007."
    charts = Grid([*of_all, *by_class], "Precision-recall curves")
    return Section("Precision and recall", "precision-recall", [Paragraph(text), charts])


def _of_all(classes: list[str], curves: dict[str, pd.DataFrame]) -> Chart:
    lines = [
        Line(f"{name}, {title(method)}", *_points(curve, name), colour, style)
        for style, (method, curve) in enumerate(curves.items())
        for colour, name in enumerate(classes)
    ]
    alt = f"Precision against recall of {len(classes)} classes by {_listed(curves)}; the charts per class show the AP."
    svg = line_chart("pr-all", lines, *AXES, x_limits=SHARE, y_limits=SHARE, size=(4.2, 3.1 + 0.1 * len(lines)))
    return Chart(svg, alt, "All classes: a colour for a class, a line style for a detector")


def _of_class(number: int, name: str, curves: dict[str, pd.DataFrame], figures: dict) -> Chart:
    lines = [
        Line(title(method), *_points(curve, name), colour, colour)
        for colour, (method, curve) in enumerate(curves.items())
    ]
    known = {method: figures[method]["ap"].get(name) for method in curves}
    words = ", ".join(f"{title(method)} {'no' if ap is None else f'{ap:.3f}'}" for method, ap in known.items())
    svg = line_chart(f"pr-{number}", lines, *AXES, x_limits=SHARE, y_limits=SHARE)
    return Chart(svg, f"Precision against recall for {name}. AP: {words}.", f"{name}. AP: {words}")


def _points(curve: pd.DataFrame, name: str) -> tuple[list[float], list[float]]:
    rows = curve[curve["class"] == name]
    return rows["recall"].tolist(), rows["precision"].tolist()


def _listed(curves: dict[str, pd.DataFrame]) -> str:
    return ", ".join(map(title, curves))
