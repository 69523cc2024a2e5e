"""The page: its sections in order, and their way into one HTML file that needs no other.

To add a section: a file with `section(inputs) -> Section`, and its module in `SECTIONS`.
"""

from pathlib import Path

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup

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
    sizes,
)
from src.report.inputs import Inputs

SECTIONS = [
    results,
    dag,
    precision_recall,
    proposals,
    learning,
    mining,
    confusion,
    gallery,
    comparison,
    sizes,
]
TEMPLATES = Path(__file__).parent / "templates"


def page(inputs: Inputs) -> str:
    """The HTML page: the same text for the same inputs."""
    environment = Environment(
        loader=FileSystemLoader(TEMPLATES),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    sections = [module.section(inputs) for module in SECTIONS]
    style = Markup((TEMPLATES / "page.css").read_text())
    return environment.get_template("page.html.j2").render(sections=sections, style=style, inputs=inputs).lstrip()
