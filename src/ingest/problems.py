"""All problems of a set at once, so that a user corrects the files in one go.

The first are in the message of the error, and all are in a table.
"""

import csv
import io
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import TypeVar

from src.errors import InputError
from src.files.storage import atomic

SHOWN = 10
Item = TypeVar("Item")
Result = TypeVar("Result")


class ProblemsError(InputError):
    """The error for several files of a set; the message has the first `SHOWN` problems and counts the others.

    Attributes:
        problems: all of them, a sentence each; at least one.
    """

    def __init__(self, problems: Sequence[str], message: str = "") -> None:
        """Take another message if it can say the same in fewer words."""
        more = f"; and {len(problems) - SHOWN} more problems" if len(problems) > SHOWN else ""
        super().__init__(message or "; ".join(problems[:SHOWN]) + more)
        self.problems = list(problems)


def sentences(error: InputError) -> list[str]:
    """Return the problems of an error, one for an error of another kind."""
    return error.problems if isinstance(error, ProblemsError) else [str(error)]


def for_each(function: Callable[[Item], Result], items: Iterable[Item]) -> list[Result]:
    """Call a function with each item; every `InputError` is collected, and one `ProblemsError` has them all."""
    results: list[Result] = []
    problems: list[str] = []
    for item in items:
        try:
            results.append(function(item))
        except InputError as error:
            problems += sentences(error)
    if problems:
        raise ProblemsError(problems)
    return results


def joined(errors: Sequence[ProblemsError]) -> ProblemsError:
    """Return one error with the problems and the messages of several; at least one."""
    problems = [problem for error in errors for problem in error.problems]
    return errors[0] if len(errors) == 1 else ProblemsError(problems, "; ".join(map(str, errors)))


def skipped(error: ProblemsError) -> str:
    """Return a sentence on problems whose images the policy `skip` leaves out."""
    count = len(error.problems)
    words = "1 problem, whose image is" if count == 1 else f"{count} problems, whose images are"
    return f"{words} left out because data.voc.bad is skip: {error}"


def told(path: str | Path, problems: Sequence[str]) -> str:
    """Write several problems to a CSV file with the column `problem`, a row each.

    Returns:
        the words that say so; empty for one problem or none, for which no file is written.
    """
    if len(problems) < 2:
        return ""
    text = io.StringIO()
    csv.writer(text, lineterminator="\n").writerows([["problem"], *([problem] for problem in problems)])
    with atomic(path) as temporary:
        temporary.write_text(text.getvalue(), encoding="utf-8")
    return f"all {len(problems)} problems are in {path}"
