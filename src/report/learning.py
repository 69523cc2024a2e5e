"""Learning curves of everything trained in epochs: one quantity per chart, training and validation on one axis."""

import pandas as pd

from src.report.blocks import Block, Chart, Grid, More, Paragraph, Section, Subheading
from src.report.charts import Line, broken, line_chart
from src.report.inputs import Inputs, title

EPOCH, VALIDATION, RATE = "epoch", "val_", "lr"
PROCESSES = "processes"  # that trained together: a circumstance, not a curve
ACCURACY, ALWAYS = "val_accuracy", "_always_background"
MAIN = ("loss", "accuracy", "recall", "precision")  # always shown; the others are folded
LEAST = 2  # charts shown, so that they fill the page
BELOW = (
    "The accuracy is below that of always answering background ({accuracy:.4f} to {baseline:.4f}). This is no failure: "
    "nearly all boxes are background, so a network that never finds an object is nearly always right. Recall and "
    "precision say more."
)


def section(inputs: Inputs) -> Section:
    """Show the charts of each output table with a column `epoch`."""
    tables = {name: table for name, table in inputs.tables("plots/*.csv").items() if EPOCH in table.columns}
    text = "Solid: training images. Dashed: validation images. Dotted: a trivial baseline on these."
    blocks: list[Block] = [Paragraph(text)]
    for name, table in tables.items():
        charts = {quantity: _chart(name, quantity, table) for quantity in _quantities(table)}
        blocks.append(Subheading(title(name)))
        if not len(table):
            blocks.append(Paragraph("Not trained: its parameters ask for no epoch."))
            continue
        rest = [key for key in charts if key not in MAIN]
        added = [key for key in rest if key != RATE][: max(0, LEAST - (len(charts) - len(rest)))]
        shown = [chart for key, chart in charts.items() if key in MAIN or key in added]
        blocks.append(Grid(shown, f"Curves of {title(name)}"))
        blocks += _below_background(table)
        if folded := [charts[key] for key in rest if key not in added]:
            blocks.append(More(f"{len(folded)} more of {title(name)}", [Grid(folded, f"More curves of {title(name)}")]))
    return Section("Learning curves", "learning", blocks)


def _below_background(table: pd.DataFrame) -> list[Block]:
    """Explain an accuracy that ends below its baseline; no block for any other."""
    if not {ACCURACY, ACCURACY + ALWAYS} <= set(table.columns):
        return []
    known = table[[ACCURACY, ACCURACY + ALWAYS]].dropna()
    if known.empty or known.iloc[-1, 0] >= known.iloc[-1, 1]:
        return []
    accuracy, baseline = known.iloc[-1]
    return [Paragraph(BELOW.format(accuracy=accuracy, baseline=baseline))]


def _quantities(table: pd.DataFrame) -> dict[str, list[str]]:
    """Group columns by quantity: training, validation and the baselines of the quantity together."""
    quantities: dict[str, list[str]] = {}
    for column in table.columns.drop([EPOCH, PROCESSES], errors="ignore"):
        quantity = column.removeprefix(VALIDATION)
        compared = [name for name in quantities if quantity.startswith(f"{name}_always_")]
        quantities.setdefault(compared[0] if compared else quantity, []).append(column)
    return quantities


def _chart(name: str, quantity: str, table: pd.DataFrame) -> Chart:
    lines = []
    for column in _quantities(table)[quantity]:
        validation = column.startswith(VALIDATION)
        baseline = column.removeprefix(VALIDATION).removeprefix(quantity)
        style = 2 if baseline else int(validation)
        label = baseline.strip("_").replace("_", " ") or ("validation" if validation else "training")
        lines.append(Line(label, table[EPOCH].tolist(), broken(table[column].tolist()), style, style))
    words = {RATE: "learning rate"}.get(quantity, quantity.replace("_", " "))
    ends = "; ".join(f"{line.label} {_ends(line)}" for line in lines)
    svg = line_chart(f"learning-{name}-{quantity}", lines, EPOCH, words, size=(4.2, 2.8))
    return Chart(svg, f"{title(name)}, {words} by epoch: {ends}.", f"{title(name)}: {words}")


def _ends(line: Line) -> str:
    known = [value for value in line.y if value == value]
    return f"from {known[0]:.4g} to {known[-1]:.4g}" if known else "has no value"
