"""What a section of the report is made of; `templates/page.html.j2` has a macro under the name of each `form`."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar


@dataclass(frozen=True)
class Paragraph:
    """Plain text."""

    text: str
    form: ClassVar[str] = "paragraph"


@dataclass(frozen=True)
class Subheading:
    """A heading below the section's own: of level 3, or 4 below one of 3."""

    text: str
    level: int = 3
    form: ClassVar[str] = "subheading"


@dataclass(frozen=True)
class Table:
    """A table whose first column names the rows.

    Numbers are shown as they are given, so the caller rounds; None is an empty cell. `shades` holds for each cell
    behind the first a share 0..1 of colour, none at all by default.
    """

    caption: str
    head: Sequence[str]
    rows: Sequence[Sequence[str | int | None]]
    shades: Sequence[Sequence[float]] = ()
    form: ClassVar[str] = "table"

    def wordy(self) -> list[bool]:
        """For each column whether it holds words, which stand left, rather than numbers, with a unit or without."""
        return [any(_is_words(row[column]) for row in self.rows) for column in range(len(self.head))]


@dataclass(frozen=True)
class Chart:
    """A drawing as SVG text; `alt` says in words what it shows."""

    svg: str
    alt: str
    caption: str
    wide: bool = False
    form: ClassVar[str] = "chart"


@dataclass(frozen=True)
class Picture:
    """An image as a data URI, `size` in pixels (height, width)."""

    uri: str
    alt: str
    caption: str
    size: tuple[int, int]
    form: ClassVar[str] = "picture"


@dataclass(frozen=True)
class Grid:
    """Charts or pictures side by side, as many as there is room for; `strip` keeps them in one row that scrolls."""

    blocks: Sequence[Chart | Picture]
    label: str
    strip: bool = False
    form: ClassVar[str] = "grid"

    def side(self) -> int:
        """Width of the widest picture, in pixels; 0 where there are charts, which take any width."""
        return max((block.size[1] for block in self.blocks if isinstance(block, Picture)), default=0)


@dataclass(frozen=True)
class More:
    """Blocks behind a line that opens them."""

    summary: str
    blocks: Sequence["Block"]
    form: ClassVar[str] = "more"


Block = Paragraph | Subheading | Table | Chart | Picture | Grid | More


@dataclass(frozen=True)
class Section:
    """A part of the page: its heading, its anchor, and what is below."""

    title: str
    anchor: str
    blocks: Sequence[Block]


def _is_words(cell: str | int | None) -> bool:
    return isinstance(cell, str) and not cell.lstrip("-")[:1].isdigit()


def number(value: float | None, digits: int = 3) -> str | None:
    """A number as tables show it; None stays None, which is an empty cell.

    >>> number(0.98765), number(None)
    ('0.988', None)
    """
    return None if value is None else f"{value:.{digits}f}"
