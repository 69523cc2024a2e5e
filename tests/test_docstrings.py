"""The form of docstrings: a first line that says what a function does, or what a module or class is."""

import ast
import re
from collections.abc import Iterator

import pytest

from commands.write_deps import ROOT

FILES = [path for name in ("src", "stages", "commands", "benchmarks") for path in sorted((ROOT / name).rglob("*.py"))]
NO_STATEMENT = re.compile(r"(What|Which|Whose|How|Where|Whether|Of)\b")
RIDDLES = re.compile(r"\b(true box|true boxes|behind|upon)\b")


def docstrings(text: str) -> Iterator[tuple[str, str]]:
    """Yield the names of a module's classes and functions, and of itself, with their docstrings."""
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef) and (words := ast.get_docstring(node)):
            yield getattr(node, "name", "module"), words


@pytest.mark.parametrize("path", FILES, ids=lambda path: str(path.relative_to(ROOT)))
def test_a_docstring_is_a_plain_sentence(path) -> None:
    for name, words in docstrings(path.read_text()):
        assert not NO_STATEMENT.match(words), f"{path}, {name}: {words.splitlines()[0]}"
        assert not RIDDLES.search(words), f"{path}, {name}"
