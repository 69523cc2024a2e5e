"""Print the README's table of results: the headline metrics, their standard errors and baselines, from metrics/.

python -m commands.results_table
"""

import json
from pathlib import Path

from src.evaluation.headline import Headline, Metrics, of
from stages.command import command

METRICS = Path("metrics")
SUMMARY = "summary"
LEFT_OUT = {"mabo"}  # keys that a reader of the first page would have to learn first; the report shows them


def run() -> None:
    """Print the table."""
    print(table(read(METRICS)))


def read(folder: Path) -> Metrics:
    """Return the content of each metrics file, by its name without .json."""
    return {path.stem: json.loads(path.read_text()) for path in folder.glob("*.json")}


def table(metrics: Metrics) -> str:
    """Return a Markdown table with a row per metric of the summary, narrow enough for a phone.

    A figure stands with its standard error; a missing one is a dash.
    """
    rows = [
        f"| {metric.words} | {_number(metrics[SUMMARY][metric.name])} ± {_error(metrics, metric)} "
        f"| {_baseline(metrics, metric)} |"
        for metric in of(metrics[SUMMARY])
        if metric.key not in LEFT_OUT
    ]
    images, objects = (metrics["rcnn"][key] for key in ("images", "objects"))
    counts = f"Scenes: {images} test images, {objects} objects that are not difficult."
    head = "| measure | score on the test images | the same without learning |"
    return "\n".join([head, "|---|---|---|", *rows, "", counts])


def _error(metrics: Metrics, metric: Headline) -> str:
    return _number(metrics[metric.file].get("standard_error", {}).get(metric.key))


def _baseline(metrics: Metrics, metric: Headline) -> str:
    if metric.baseline is None:
        return ""
    return f"{_number(metrics[metric.baseline.file].get(metric.baseline.key))} ({metric.baseline.words})"


def _number(value: float | None) -> str:
    return "-" if value is None else f"{value:.3f}"


if __name__ == "__main__":
    command(run)
