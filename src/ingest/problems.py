"""All problems of a set at once, so that a user corrects the files in one go.

The first are in the message of the error, and all are in a table.
"""

import csv
import io
from collections.abc import Sequence
from pathlib import Path

from src.errors import InputError
from src.files.storage import atomic

SHOWN = 10


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


def write_problems(path: str | Path, problems: Sequence[str]) -> None:
    """Write a CSV file with the column `problem`, a row each."""
    text = io.StringIO()
    csv.writer(text, lineterminator="\n").writerows([["problem"], *([problem] for problem in problems)])
    with atomic(path) as temporary:
        temporary.write_text(text.getvalue(), encoding="utf-8")
