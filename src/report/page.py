"""The page: its sections in order, rendered into one HTML file that needs no other file.

To add a section, write a module with `section(inputs) -> Section` and add it to `SECTIONS`.
"""

from src.report import (
    comparison,
    confusion,
    dag,
    gallery,
    learning,
    mining,
    precision_recall,
    proposals,
    results,
    revisions,
    sizes,
    thresholds,
    verdict,
    words,
)
from src.report.inputs import Inputs
from src.report.rendering import ENVIRONMENT, render, script, style
from src.report.words import linked

ENVIRONMENT.filters["linked"] = linked
SECTIONS = [
    verdict,
    results,
    revisions,
    dag,
    precision_recall,
    thresholds,
    proposals,
    learning,
    mining,
    confusion,
    gallery,
    comparison,
    sizes,
    words,
]


def page(inputs: Inputs) -> str:
    """Render the HTML page: the same text for the same inputs."""
    sections = [module.section(inputs) for module in SECTIONS]
    return render("page.html.j2", sections=sections, style=style(), script=script(), inputs=inputs)
