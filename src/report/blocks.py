"""The blocks of a section of the report; `templates/page.html.j2` has one macro per block, with the name in `form`."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import ClassVar

MOST_COLUMNS = 3  # of a table that a phone shows whole


@dataclass(frozen=True)
class Paragraph:
    """Plain text."""

    text: str
    form: ClassVar[str] = "paragraph"


@dataclass(frozen=True)
class Lead:
    """The one sentence that a reader in a hurry should see, in large type."""

    text: str
    form: ClassVar[str] = "lead"


@dataclass(frozen=True)
class Subheading:
    """A heading below the section's own heading: level 3, or level 4 below a heading of level 3."""

    text: str
    level: int = 3
    form: ClassVar[str] = "subheading"


@dataclass(frozen=True)
class Table:
    """A table whose first column names the rows.

    Numbers are shown as they are, so the caller rounds them; None is an empty cell. `shades` holds a share of colour
    in 0..1 for each cell after the first one of its row; by default there is no colour. A `narrow` table has
    only short words and numbers, and is set close, so that a phone shows it whole. Another one of more than three
    columns has `cards`: on a phone each row is a heading with its cells below, each with the name of its column.
    """

    caption: str
    head: Sequence[str]
    rows: Sequence[Sequence[str | int | None]]
    shades: Sequence[Sequence[float]] = ()
    narrow: bool = False
    form: ClassVar[str] = "table"

    def cards(self) -> bool:
        """Check that the table is too wide for a phone."""
        return not self.narrow and len(self.head) > MOST_COLUMNS

    def wordy(self) -> list[bool]:
        """Return, per column, True for words, which are aligned left, and False for numbers, with or without a unit."""
        return [any(_is_words(row[column]) for row in self.rows) for column in range(len(self.head))]


@dataclass(frozen=True)
class Chart:
    """A drawing as SVG text; `alt` describes it in words."""

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
    """Charts or pictures side by side, as many per row as fit; `strip` keeps all in one row that scrolls.

    One, two or four charts have at most two in a row, so that they fill it.
    """

    blocks: Sequence[Chart | Picture]
    label: str
    strip: bool = False
    form: ClassVar[str] = "grid"

    def few(self) -> bool:
        """Check that these are so few charts that two in a row fill the page best."""
        return bool(self.blocks) and self.blocks[0].form == "chart" and len(self.blocks) in (1, 2, 4)

    def side(self) -> int:
        """Return the width of the widest picture, in pixels; 0 for charts, which fit any width."""
        return max((block.size[1] for block in self.blocks if isinstance(block, Picture)), default=0)


@dataclass(frozen=True)
class Columns:
    """Columns of blocks side by side, below each other on a narrow window."""

    columns: Sequence[Sequence["Block"]]
    form: ClassVar[str] = "columns"


@dataclass(frozen=True)
class Terms:
    """Words with their explanations; each has the anchor `word-` and its place, counted from 1."""

    meanings: Mapping[str, str]
    form: ClassVar[str] = "terms"


@dataclass(frozen=True)
class More:
    """Blocks that are hidden until the reader opens the summary line; `wide` ones only on a narrow window."""

    summary: str
    blocks: Sequence["Block"]
    wide: bool = False
    form: ClassVar[str] = "more"


Block = Paragraph | Lead | Subheading | Table | Chart | Picture | Grid | Columns | Terms | More


@dataclass(frozen=True)
class Section:
    """A part of the page: its heading, its anchor, and its blocks."""

    title: str
    anchor: str
    blocks: Sequence[Block]


def _is_words(cell: str | int | None) -> bool:
    return isinstance(cell, str) and not cell.lstrip("+-")[:1].isdigit()


def number(value: float | None, digits: int = 3) -> str | None:
    """Format a number for a table; None stays None, which is an empty cell.

    >>> number(0.98765), number(None)
    ('0.988', None)
    """
    return None if value is None else f"{value:.{digits}f}"
