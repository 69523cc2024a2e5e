"""Edits while a stage runs: DVC looks at code and parameters only when the stage has ended.

It would write to dvc.lock that the edited files made the outputs, and no later command would find out.
"""

import os
import sys
from pathlib import Path

from pydantic import BaseModel

from src.errors import InputError
from src.files.locked import md5_of_file
from src.params import read_params

ROOT = Path(__file__).resolve().parents[1]
CODE = ("src", "stages")  # the folders of what a stage imports


class Before:
    """The code and the stage's own sections of the parameters, as they were at its start."""

    def __init__(self, parameters: str, sections: BaseModel | None, root: Path = ROOT) -> None:
        self.parameters, self.sections, self.root = parameters, sections, root.resolve()
        files = (path for name in CODE for path in (self.root / name).rglob("*.py"))
        self.code = {path: md5_of_file(path) for path in files}

    def compare(self) -> None:
        """Compare with now.

        Raises:
            InputError: a module that this process has imported, or a value of the stage, is another one than at its
                start. The outputs stay where they are.
        """
        edited = [path for path in sources(self.root) if path in self.code and self._differs(path)]
        names = [str(path.relative_to(self.root)) for path in edited]
        if self.sections is not None and read_params(self.parameters, type(self.sections)) != self.sections:
            names.append(self.parameters)
        if names:
            stage = os.environ.get("DVC_STAGE", "the stage's name")
            raise InputError(
                f"{', '.join(names)} changed while this stage ran, so that dvc.lock would name the new content for "
                f"outputs that the old one made: run the stage again, or undo the edit and run `dvc commit {stage}`, "
                "which accepts the outputs"
            )

    def _differs(self, path: Path) -> bool:
        return not path.exists() or md5_of_file(path) != self.code[path]


def sources(root: Path) -> list[Path]:
    """Return the files of the code that this process has imported from a checkout, sorted."""
    named = [getattr(module, "__file__", None) for module in list(sys.modules.values())]
    files = {Path(file).resolve() for file in named if file}
    return sorted(file for file in files if any(root / name in file.parents for name in CODE))
