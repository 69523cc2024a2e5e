"""Where a training keeps its state from epoch to epoch, so that an interrupted run goes on."""

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from src.training.loop import fingerprint
from stages.environment import computed_by

FOLDER = Path(".checkpoints")  # outside DVC's outputs, which DVC removes before a stage runs


def checkpoint(name: str, params: Mapping[str, Any], files: Iterable[Path]) -> Path:
    """The file for the training of `name`: its name is a hash of all that decides what the training computes.

    That is its parameters, the content of its input files, and the arithmetic: half a training in another arithmetic
    would be a result that nobody can make again.
    """
    return FOLDER / f"{name}-{fingerprint({**params, 'arithmetic': computed_by()}, files)}.pt"
