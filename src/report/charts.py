"""Line charts as SVG text: made by matplotlib, coloured by the page's style sheet, with the same bytes each time."""

import io
import re
from collections.abc import Sequence
from typing import Any, NamedTuple

import matplotlib as mpl
import numpy as np
from matplotlib.backends.backend_svg import FigureCanvasSVG
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator, StrMethodFormatter

# The page has two colour schemes, but matplotlib needs fixed colours. It uses these, and `_svg` replaces them by
# variables of the style sheet.
COLOURS = [f"#0000{number:02x}" for number in range(1, 9)]
INK, GRID = "#000010", "#000011"
VARIABLES = {**{colour: f"var(--line-{number})" for number, colour in enumerate(COLOURS)}}
VARIABLES |= {INK: "var(--ink)", GRID: "var(--grid)"}
STYLES = ["-", (0, (5, 2)), (0, (1, 1.5)), (0, (6, 2, 1, 2))]
SETTINGS: Any = {
    "svg.fonttype": "none",  # text stays text: small, and sharp at any size
    "font.family": "sans-serif",
    "font.size": 9,
    "text.color": INK,
    "axes.edgecolor": INK,
    "axes.labelcolor": INK,
    "axes.facecolor": "none",
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.grid": True,
    "grid.color": GRID,
    "grid.linewidth": 0.6,
    "xtick.color": INK,
    "ytick.color": INK,
    "figure.facecolor": "none",
    "legend.frameon": False,
}
SHARE = (-0.02, 1.02)  # limits of an axis for shares, 0..1


class Line(NamedTuple):
    """One line of a chart."""

    label: str
    x: Sequence[float]
    y: Sequence[float]
    colour: int = 0  # k of the style sheet's --line-k; after the last one they start again
    style: int = 0  # index into STYLES; after the last one they start again


class Bar(NamedTuple):
    """One bar of a chart."""

    label: str
    value: float  # 0..1
    error: float | None  # standard error; None if it is not known
    colour: int = 0  # as of a line


def line_chart(
    name: str,
    lines: Sequence[Line],
    x_label: str,
    y_label: str,
    *,
    log_x: bool = False,
    x_limits: tuple[float, float] | None = None,
    y_limits: tuple[float, float] | None = None,
    size: tuple[float, float] = (4.2, 3.1),
) -> str:
    """Make an SVG element of lines, with a legend below them if there is more than one.

    Args:
        name: of the chart, unique on the page: ids inside the element begin with it.
        lines: nan breaks a line; a line without points is still in the legend.
        x_label: with its unit.
        y_label: with its unit.
        log_x: use a logarithmic axis, for counts; a count of 0 is not shown.
        x_limits: ends of the axis; None for those of the data.
        y_limits: likewise.
        size: inches; the page shows about 100 pixels per inch.
    """
    with mpl.rc_context():
        mpl.rcdefaults()  # the user's own settings must have no effect
        mpl.rcParams.update({**SETTINGS, "svg.hashsalt": name})
        figure = Figure(figsize=size, layout="constrained")
        axes = figure.add_subplot()
        for line in lines:
            axes.plot(line.x, line.y, label=line.label, linewidth=1.8, **_look(line))
        axes.set(xlabel=x_label, ylabel=y_label)
        if log_x and any(x > 0 for line in lines for x in line.x):
            axes.set_xscale("log")
            axes.xaxis.set_major_formatter(StrMethodFormatter("{x:,.0f}"))
        elif all(float(x).is_integer() for line in lines for x in line.x):
            axes.xaxis.set_major_locator(MaxNLocator(integer=True))
        if x_limits:
            axes.set_xlim(x_limits)
        if y_limits:
            axes.set_ylim(y_limits)
        if len(lines) > 1:
            figure.legend(loc="outside lower center", ncols=2, handlelength=3.2)
        return _svg(figure, name)


def bar_chart(name: str, bars: Sequence[Bar], x_label: str, *, size: tuple[float, float] | None = None) -> str:
    """Make an SVG element of horizontal bars for shares 0..1, the first one on top, with their errors and values.

    Args:
        name: of the chart, unique on the page.
        bars: at least one.
        x_label: with its unit.
        size: inches; None for a height that grows with the number of bars.
    """
    with mpl.rc_context():
        mpl.rcdefaults()
        mpl.rcParams.update({**SETTINGS, "svg.hashsalt": name})
        figure = Figure(figsize=size or (4.8, 0.9 + 0.45 * len(bars)), layout="constrained")
        axes = figure.add_subplot()
        for place, bar in enumerate(bars):
            colour = COLOURS[bar.colour % len(COLOURS)]
            axes.barh(place, bar.value, height=0.55, color=colour, alpha=0.5)
            if bar.error is not None:
                axes.errorbar(bar.value, place, xerr=bar.error, ecolor=INK, capsize=4, elinewidth=1.4)
            words = f"{bar.value:.3f}" + ("" if bar.error is None else f" ± {bar.error:.3f}")
            axes.text(bar.value + (bar.error or 0.0) + 0.02, place, words, va="center")
        axes.set_yticks(range(len(bars)), [bar.label for bar in bars])
        axes.set(xlabel=x_label, xlim=(0, 1.3), xticks=np.linspace(0, 1, 6), ylim=(len(bars) - 0.5, -0.5))
        axes.grid(visible=False, axis="y")
        axes.tick_params(left=False)
        axes.set_axisbelow(True)
        return _svg(figure, name)


def _look(line: Line) -> dict[str, Any]:
    few = len(line.x) <= 15
    colour = COLOURS[line.colour % len(COLOURS)]
    return {"color": colour, "linestyle": STYLES[line.style % len(STYLES)], "marker": "o" if few else "", "ms": 3.5}


def _svg(figure: Figure, name: str) -> str:
    buffer = io.StringIO()
    no_metadata = dict.fromkeys(("Date", "Creator", "Format", "Type"))
    FigureCanvasSVG(figure).print_svg(buffer, metadata=no_metadata)
    text = buffer.getvalue()
    text = text[text.index("<svg") :]
    text = re.sub(r"<style.*?</style>", "", text, flags=re.DOTALL)  # it would apply to the whole page
    text = re.sub(r' width="[\d.]+pt"| height="[\d.]+pt"', "", text, count=2)
    text = re.sub(r'( id="|href="#|url\(#)', rf"\g<1>{name}-", text)
    for colour, variable in VARIABLES.items():
        text = text.replace(colour, variable)
    return re.sub(r"\n\s*", "\n", text)


def broken(values: Sequence[float | None]) -> list[float]:
    """Replace the missing values of a column by nan, which breaks a line."""
    return [float("nan") if value is None or np.isnan(value) else float(value) for value in values]
