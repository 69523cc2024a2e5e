"""Where a data set comes from: what every section below `data` in params.yaml says of it."""

from collections.abc import Mapping
from pathlib import Path
from types import ModuleType
from typing import Any, ClassVar, Literal

from pydantic import model_validator

from src import plugins
from src.errors import InputError
from src.params import Section, validated


class Source(Section):
    """The keys that all data sets have; `LAYOUT` says in words what is expected at `path`."""

    LAYOUT: ClassVar[str]

    source: Literal["sample", "official", "local"]
    path: str | None

    @model_validator(mode="after")
    def _names_a_path(self) -> "Source":
        if self.source == "local" and self.path is None:
            raise ValueError(f"source is local, so path must name a tar, a zip or a folder {self.LAYOUT}")
        return self


def data_set(data: Mapping[str, Any], name: str) -> tuple[ModuleType, Any]:
    """The data set's file and its part of the section `data`."""
    module = plugins.load("datasets", name)
    return module, validated(data[name], module.Params, f"params.yaml: data.{name}.")


def remedy(name: str) -> str:
    """What to do where no mirror has an official file of the data set."""
    return (
        "run again to resume where it stopped, or fetch the files by other means, unpack them into one folder, and set "
        f"data.{name}.source to local and data.{name}.path to that folder"
    )


def local(key: str, value: str, out: Path) -> Path:
    """Return the path of a user's own data; one that is missing, or overlaps the folder `out`, is an `InputError`."""
    path = Path(value)
    if not path.exists():
        raise InputError(
            f"{key} = {value}: there is no such file or folder (a relative path counts from the repository's root, "
            "which is another one under `dvc exp run --temp`: give an absolute path)"
        )
    inner, outer = path.resolve(), out.resolve()
    if inner.is_relative_to(outer) or outer.is_relative_to(inner):
        raise InputError(f"{key} = {value} overlaps {out}, which this stage clears: keep your data elsewhere")
    return path
