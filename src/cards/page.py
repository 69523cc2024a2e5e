"""The page of a model card."""

import io
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, NamedTuple

from ruamel.yaml import YAML
from ruamel.yaml.representer import RoundTripRepresenter

from src.cards.data import Split
from src.cards.figures import Figure


class _Nulls(RoundTripRepresenter):
    """A YAML representer that writes null; ruamel's own writes nothing."""


_Nulls.add_representer(type(None), lambda self, _: self.represent_scalar("tag:yaml.org,2002:null", "null"))


class Card(NamedTuple):
    """The content of a page."""

    name: str
    what: str  # the method in one sentence, with the paper
    origin: str  # of the data
    splits: Sequence[Split]
    classes: Sequence[str]
    first_label: int  # number of the first class
    figures: Sequence[Figure]
    parameters: Mapping[str, Any]
    limits: Sequence[str]
    files: Mapping[str, str]  # SHA-256 by path
    loading: str  # Python code
    header: Mapping[str, Any]  # for model hubs; written as YAML before the page
    picture: tuple[str, str] | None = None  # file beside the page, and its caption


def markdown(card: Card) -> str:
    """Return the header for model hubs and the page, which ends with a line break."""
    listed = ", ".join(f"{number} {name}" for number, name in enumerate(card.classes, start=card.first_label))
    figures = [
        (row.measure, _digits(row.value), "" if row.error is None else _digits(row.error), _baselines(row))
        for row in card.figures
    ]
    parts = [
        f"# {card.name}",
        card.what,
        *_picture(card),
        f"Written by `python -m commands.model_card {card.name}` from `params.yaml` and the outputs of the stages.",
        "## Data",
        f"{card.origin[0].upper()}{card.origin[1:]}.",
        _splits(card.splits),
        "## Classes",
        f"{listed}.",
        "## Figures on the test split",
        _table(("measure", "value", "standard error", "baseline"), figures),
        "## Parameters",
        f"```yaml\n{_yaml(card.parameters)}```",
        "## Limits",
        "\n".join(f"* {sentence}" for sentence in card.limits),
        "## Files",
        _table(("file", "SHA-256"), [(f"`{path}`", f"`{digest}`") for path, digest in card.files.items()]),
        "## Loading",
        "In the root of the repository, with the files above in their places:",
        f"```python\n{card.loading}```",
    ]
    return f"---\n{_yaml(card.header)}---\n\n" + "\n\n".join(parts) + "\n"


def _picture(card: Card) -> list[str]:
    if card.picture is None:
        return []
    file, caption = card.picture
    return [f"![{caption}]({file})", f"*{caption}*"]


def _splits(splits: Sequence[Split]) -> str:
    classes = list(splits[0].classes)
    rows = [(split.name, split.use, split.images, *split.classes.values()) for split in splits]
    return _table(("split", "for", "images", *classes), rows)


def _table(head: Sequence[str], rows: Iterable[Sequence[Any]]) -> str:
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join("| " + " | ".join(str(cell).replace("|", "\\|") for cell in line) + " |" for line in lines)


def _baselines(row: Figure) -> str:
    return ", ".join(f"{_digits(value)} ({name})" for name, value in row.baselines.items())


def _digits(value: float) -> str:
    return f"{value:.3f}"


def _yaml(content: Mapping[str, Any]) -> str:
    buffer = io.StringIO()
    yaml = YAML()
    yaml.Representer = _Nulls
    yaml.dump(dict(content), buffer)
    return buffer.getvalue()
