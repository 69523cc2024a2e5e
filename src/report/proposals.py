"""The recall of the region proposals, by IoU threshold and by number of proposals."""

from collections.abc import Sequence

import pandas as pd

from src.report.blocks import Block, Chart, Grid, Paragraph, Section
from src.report.charts import SHARE, Line, line_chart
from src.report.inputs import UNTRAINED, Inputs, title

UNRANKED = (
    "Not ranked: {names}. Its proposals are in random order, so its first 10 are any 10 of them, and its line over the "
    "number of proposals shows how recall grows with more boxes, not how good a ranking is."
)
BY_COUNT = "plots/recall_by_count_*.csv"


def section(inputs: Inputs) -> Section:
    """Show two charts: one colour per method, and a dashed line for the same number of sliding windows."""
    counts = inputs.tables(BY_COUNT)
    overlaps = {name: table for name, table in inputs.tables("plots/recall_*.csv").items() if name in counts}
    by_iou = _chart("recall-iou", overlaps, ("iou", "recall", "sliding_window"), "IoU", "recall")
    by_count = _chart(
        "recall-count",
        counts,
        ("proposals", "recall_50", "sliding_window_50"),
        "first proposals per image",
        "recall at IoU 0.5",
        unranked=inputs.unranked,
    )
    text = (
        "Share of the test images' objects that a proposal covers. The sliding window has as many boxes as the method "
        "and does not look at the image: a method must be above its line."
    )
    blocks: list[Block] = [Paragraph(text), Grid([by_iou, by_count], "Recall of proposals")]
    if unranked := [title(name) for name in counts if name in inputs.unranked]:
        blocks.append(Paragraph(UNRANKED.format(names=", ".join(unranked))))
    return Section("Region proposals", "proposals", blocks)


def _chart(
    name: str,
    tables: dict[str, pd.DataFrame],
    columns: tuple[str, str, str],
    x_label: str,
    y_label: str,
    unranked: Sequence[str] = (),
) -> Chart:
    x, recall, windows = columns
    lines, ends = [], []
    for colour, (method, table) in enumerate(tables.items()):
        points = table[x].tolist()
        order = ", random order" if method in unranked else ""
        lines.append(Line(f"{title(method)}{order}", points, table[recall].tolist(), colour))
        if not method.endswith(UNTRAINED):
            lines.append(Line("... sliding window", points, table[windows].tolist(), colour, 1))
        first, last = table.iloc[0], table.iloc[-1]
        ends.append(f"{title(method)} {first[recall]:.3f} at {first[x]:g} to {last[recall]:.3f} at {last[x]:g}")
    svg = line_chart(name, lines, x_label, y_label, log_x=name == "recall-count", y_limits=SHARE, size=(4.7, 3.8))
    caption = f"{y_label[0].upper()}{y_label[1:]} against {x_label}"
    return Chart(svg, f"{caption}. {'; '.join(ends)}.", caption)
