"""Hard-negative mining of R-CNN's SVMs, round by round."""

import pandas as pd

from src.report.blocks import Chart, Grid, Paragraph, Section, Table
from src.report.charts import Line, line_chart
from src.report.inputs import Inputs

ROUND = "round"
SHOWN = {"newly_hard": "newly hard negatives", "objective": "objective of the SVM"}


def section(inputs: Inputs) -> Section:
    """Show charts with one line per class, and the sums over the classes."""
    tables = [table for table in inputs.tables("rounds*.csv").values() if {ROUND, *SHOWN} <= set(table.columns)]
    text = (
        "A round passes over all negatives, adds the hard negatives, which are too near, and fits the SVMs again each "
        "time enough are new; the mining has converged if a round finds none."
    )
    blocks = [block for table in tables for block in (_charts(table), _sums(table))]
    return Section("Mining of hard negatives", "mining", [Paragraph(text), *blocks])


def _charts(table: pd.DataFrame) -> Grid:
    charts = []
    for column, words in SHOWN.items():
        lines = [
            Line(str(name), rows[ROUND].tolist(), rows[column].tolist(), colour, colour // 8)
            for colour, (name, rows) in enumerate(table.groupby("class", sort=True))
        ]
        ranges = "; ".join(f"{line.label} from {line.y[0]:g} to {line.y[-1]:g}" for line in lines)
        svg = line_chart(f"mining-{column}", lines, "round of mining", words)
        charts.append(Chart(svg, f"{words} by round: {ranges}.", f"{words[0].upper()}{words[1:]}, by class"))
    return Grid(charts, "Mining by class")


def _sums(table: pd.DataFrame) -> Table:
    columns = ["positives", "negatives", "newly_hard", "evicted", "crowded_out", "fits"]
    sums = table.groupby(ROUND)[columns].sum()
    rows: list[list[str | int | None]] = [
        [str(number), *map(int, row)] for number, row in zip(sums.index, sums.to_numpy(), strict=True)
    ]
    head = ["round", "positives", "negatives of the last fit", "newly hard", "became easy", "crowded out", "fits"]
    return Table("All classes together", head, rows)
