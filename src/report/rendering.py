"""Rendering of the page's templates: values are escaped unless they are markup, and an unknown name is an error."""

from pathlib import Path
from typing import Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup

FOLDER = Path(__file__).parent / "templates"
ENVIRONMENT = Environment(
    loader=FileSystemLoader(FOLDER), autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True
)


def render(name: str, **values: Any) -> str:
    """Render a template with values."""
    return ENVIRONMENT.get_template(name).render(values).strip() + "\n"


def style() -> Markup:
    """Return the style sheet as markup, which is not escaped."""
    return Markup((FOLDER / "page.css").read_text())


def script() -> Markup:
    """Return the script that enlarges pictures as markup."""
    return Markup((FOLDER / "page.js").read_text())
