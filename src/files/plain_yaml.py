"""YAML 1.2 from a person, within bounds: a small file may stand for any number of values, or crash its parser.

An alias repeats a part of the file, so ten lines of aliases stand for billions of values. The parser in C calls itself
for each level, so 100,000 brackets end the process. Both are counted in the stream of events, before anything is built.
"""

from pathlib import Path
from typing import Any

from ruamel.yaml import YAML
from ruamel.yaml.error import YAMLError
from ruamel.yaml.events import AliasEvent, CollectionEndEvent, CollectionStartEvent, NodeEvent

MAX_BYTES = 1 << 20
MAX_DEPTH = 50
MAX_VALUES = 100_000  # with what aliases repeat


def read_text(path: Path) -> str:
    """Return the text of a YAML file; a `YAMLError` if it is no file, no UTF-8, or longer than `MAX_BYTES`."""
    if path.exists() and not path.is_file():
        raise YAMLError("it is a folder, a pipe or a device: write a file")
    with path.open("rb") as file:
        content = file.read(MAX_BYTES + 1)
    if len(content) > MAX_BYTES:
        raise YAMLError(f"it is longer than {MAX_BYTES >> 20} MiB: shorten it")
    try:
        return content.decode("utf-8-sig")
    except UnicodeDecodeError:
        raise YAMLError("it is not UTF-8 text: save it as UTF-8") from None


def load(text: str) -> Any:
    """Return the content of a YAML text; a `YAMLError` if it is none, or beyond the bounds of this module."""
    try:
        _count(text)
        return YAML(typ="safe").load(text)
    except (ValueError, TypeError, OverflowError, RecursionError) as error:  # a date without a day, 5,000 digits
        raise YAMLError(str(error)) from None


def _count(text: str) -> None:
    """Count levels and values; an alias counts as many values as the part that it repeats."""
    sizes: dict[str, int] = {}  # values below each anchor
    open_parts: list[tuple[str | None, int]] = []  # anchor, and the number of values before the part
    values = 0
    for event in YAML(typ="safe").parse(text):
        if isinstance(event, AliasEvent):
            values += sizes.get(event.anchor, 1)
        elif isinstance(event, NodeEvent):
            values += 1
            if isinstance(event, CollectionStartEvent):
                open_parts.append((event.anchor, values - 1))
            elif event.anchor:
                sizes[event.anchor] = 1
        elif isinstance(event, CollectionEndEvent):
            anchor, before = open_parts.pop()
            if anchor:
                sizes[anchor] = values - before
        if len(open_parts) > MAX_DEPTH:
            raise YAMLError(f"more than {MAX_DEPTH} sections are inside one another: make it flatter")
        if values > MAX_VALUES:
            raise YAMLError(f"it stands for more than {MAX_VALUES} values, with those that aliases repeat: shorten it")
