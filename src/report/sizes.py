"""The size of each stage's outputs, and the time and the memory of each stage if they are given.

They differ from run to run, but the page must be the same for the same inputs, so the pipeline makes it without times.
"""

from pathlib import Path
from typing import NamedTuple

import pandas as pd

from src.report.blocks import Columns, Paragraph, Section, Table
from src.report.inputs import Inputs

UNITS = ("B", "kB", "MB", "GB", "TB")
WITHOUT = "This page has no times, because they differ from run to run; docs/report.md says how to see them."
WITH = (
    "Times: wall-clock seconds of each stage's last run on the machine that made this page. Memory: the most that all "
    "processes of the stage held at one moment, measured once a second."
)


class Use(NamedTuple):
    """The seconds and the memory of a stage's last run; the memory is NaN in a table that has none."""

    seconds: float
    memory_mb: float


def section(inputs: Inputs) -> Section:
    """Show one row per stage that wrote something."""
    uses = {} if inputs.times is None else read_times(inputs.times)
    rows: list[list[str | int | None]] = []
    total = 0
    for stage in inputs.stages:
        paths = [inputs.existing(out) for out in stage.outs if inputs.root / out != inputs.out]
        if paths:
            size = sum(map(size_of, paths))
            total += size
            rows.append([stage.name, len(paths), readable(size), *(_cells(uses.get(stage.name)) if uses else [])])
    whole = Use(sum(use.seconds for use in uses.values()), max((use.memory_mb for use in uses.values()), default=0))
    rows.append(["all", None, readable(total), *(_cells(whole) if uses else [])])
    head = ["stage", "outputs", "size", *(["seconds", "memory"] if uses else [])]
    half = (len(rows) + 1) // 2
    tables = [Table("Outputs", head, rows[:half]), Table("Outputs, continued", head, rows[half:])]
    text = Paragraph(WITH if uses else WITHOUT)
    return Section("Sizes and times", "sizes", [text, Columns([[table] for table in tables])])


def _cells(use: Use | None) -> list[str | None]:
    if use is None:
        return [None, None]
    return [f"{use.seconds:.1f}", None if pd.isna(use.memory_mb) else readable(1e6 * use.memory_mb)]


def read_times(path: Path) -> dict[str, Use]:
    """Read a table with the columns `stage`, `seconds` and, unless it is an older one, `memory_mb`."""
    table = pd.read_csv(path).reindex(columns=["stage", *Use._fields])
    return {row[0]: Use(*row[1:]) for row in table.itertuples(index=False)}


def size_of(path: Path) -> int:
    """Count the bytes of a file, or of all files in a folder."""
    return (
        sum(file.stat().st_size for file in path.rglob("*") if file.is_file()) if path.is_dir() else path.stat().st_size
    )


def readable(size: float) -> str:
    """Format bytes as a short text; a kB is 1,000 bytes.

    >>> readable(999), readable(1500), readable(19_669_960)
    ('999 B', '1.5 kB', '19.7 MB')
    """
    for unit in UNITS:
        if size < 1000 or unit == UNITS[-1]:
            return f"{size:.0f} {unit}" if unit == "B" else f"{size:.1f} {unit}"
        size /= 1000
    raise AssertionError("the last unit takes every size")
