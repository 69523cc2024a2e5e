"""Templates of the page, filled in: what is not markup is escaped, and a name that is not there is an error."""

from pathlib import Path
from typing import Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup

FOLDER = Path(__file__).parent / "templates"
ENVIRONMENT = Environment(
    loader=FileSystemLoader(FOLDER), autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True
)


def render(name: str, **values: Any) -> str:
    """The text of a template with its values."""
    return ENVIRONMENT.get_template(name).render(values).strip() + "\n"


def style() -> Markup:
    """The style sheet, which goes into the page as it is."""
    return Markup((FOLDER / "page.css").read_text())
