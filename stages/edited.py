"""Edits while a stage runs: DVC looks at code and parameters only when the stage has ended.

It would write to dvc.lock that the edited files made the outputs, and no later command would find out.
"""

import hashlib
import os
import sys
from pathlib import Path

from pydantic import BaseModel

from src.errors import InputError
from src.params import read_params

ROOT = Path(__file__).parents[1]
CODE = ("src", "stages")  # the folders of what a stage imports


class Before:
    """The code and the stage's own sections of the parameters, as they were at its start."""

    def __init__(self, parameters: str, sections: BaseModel | None, root: Path = ROOT) -> None:
        self.parameters, self.sections, self.root = parameters, sections, root
        self.code = {path: _digest(path) for name in CODE for path in (root / name).rglob("*.py")}

    def compare(self) -> None:
        """Compare with now.

        Raises:
            InputError: a module that this process has imported, or a value of the stage, is another one than at its
                start. The outputs stay where they are.
        """
        files = {Path(file) for module in list(sys.modules.values()) if (file := getattr(module, "__file__", None))}
        edited = [path.relative_to(self.root) for path in self.code if path in files and self._differs(path)]
        names = [str(path) for path in sorted(edited)]
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
        return not path.exists() or _digest(path) != self.code[path]


def _digest(path: Path) -> bytes:
    return hashlib.sha256(path.read_bytes()).digest()
