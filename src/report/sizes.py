"""The size of each stage's outputs, and the time of each stage if times are given.

Times differ from run to run, but the page must be the same for the same inputs, so the pipeline makes it without times.
"""

from pathlib import Path

import pandas as pd

from src.report.blocks import Columns, Paragraph, Section, Table
from src.report.inputs import Inputs

UNITS = ("B", "kB", "MB", "GB", "TB")
WITHOUT = "This page has no times, because they differ from run to run; docs/report.md says how to see them."
WITH = "Times: wall-clock seconds of each stage's last run on the machine that made this page."


def section(inputs: Inputs) -> Section:
    """Show one row per stage that wrote something."""
    seconds = {} if inputs.times is None else read_times(inputs.times)
    rows: list[list[str | int | None]] = []
    total = 0
    for stage in inputs.stages:
        paths = [inputs.existing(out) for out in stage.outs if inputs.root / out != inputs.out]
        if paths:
            size = sum(map(size_of, paths))
            total += size
            time = [f"{seconds[stage.name]:.1f}" if stage.name in seconds else None] if seconds else []
            rows.append([stage.name, len(paths), readable(size), *time])
    sums = [f"{sum(seconds.values()):.1f}"] if seconds else []
    rows.append(["all", None, readable(total), *sums])
    head = ["stage", "outputs", "size", *(["seconds"] if seconds else [])]
    half = (len(rows) + 1) // 2
    tables = [Table("Outputs", head, rows[:half]), Table("Outputs, continued", head, rows[half:])]
    text = Paragraph(WITH if seconds else WITHOUT)
    return Section("Sizes and times", "sizes", [text, Columns([[table] for table in tables])])


def read_times(path: Path) -> dict[str, float]:
    """Read the seconds by stage from a table with the columns `stage` and `seconds`."""
    table = pd.read_csv(path)
    return dict(zip(table["stage"], table["seconds"], strict=True))


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
