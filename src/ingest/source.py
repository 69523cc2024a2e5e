"""The origin of a data set: the keys that every section under `data` in params.yaml has."""

import hashlib
import os
from pathlib import Path
from typing import ClassVar, Literal

from pydantic import ValidationInfo, field_validator, model_validator

from src.errors import InputError
from src.params import Section

ANNOTATIONS = {".json", ".xml", ".yaml", ".yml", ".txt", ".csv"}  # files that a tool writes beside the images


class Source(Section):
    """The keys that all data sets have; `LAYOUT` describes the layout that `path` must have."""

    LAYOUT: ClassVar[str]

    path: str | None
    source: Literal["auto", "sample", "official", "local"]  # `auto` becomes what it means here

    @field_validator("source")
    @classmethod
    def _without_auto(cls, source: str, info: ValidationInfo) -> str:
        return resolved(source, info.data.get("path"))

    @model_validator(mode="after")
    def _names_a_path(self) -> "Source":
        if self.source == "local" and self.path is None:
            raise ValueError(f"source is local, so path must name a tar, a zip or a folder {self.LAYOUT}")
        return self

    def shown(self, path: Path) -> Path:
        """Return the path that error messages name instead of `path`: of a user's own data not our copy, but theirs."""
        return Path(self.path) if self.source == "local" and self.path is not None else path


def resolved(source: str, path: str | None) -> str:
    """Return the source that `auto` means: `local` if a path is set, otherwise `sample`; any other source stays."""
    return ("sample" if path is None else "local") if source == "auto" else source


def state(path: str | Path) -> str:
    """Return a hash of the names, sizes and times of change of a file, or of the files of a folder.

    It is another one after a change of the user's data, which it does not read. As in `src.ingest.archives`, hidden
    files and folders do not count. A path that does not exist has a hash, too.
    """
    path, digest = Path(path), hashlib.sha256()
    folders = os.walk(path) if path.is_dir() else [(str(path.parent), [], [path.name])]
    for folder, below, names in folders:
        below[:] = sorted(name for name in below if not name.startswith("."))  # os.walk goes only into these
        for file in (Path(folder, name) for name in sorted(names) if path.is_file() or not name.startswith(".")):
            found = file.lstat() if file.is_symlink() or file.exists() else None
            digest.update(f"{file} {found and (found.st_size, found.st_mtime_ns)}\n".encode(errors="surrogateescape"))
    return digest.hexdigest()


def remedy(name: str) -> str:
    """Return the remedy for an official file of the data set that no mirror has."""
    return (
        "run the stage again to resume the download, or get the files by other means, unpack them into one folder, and "
        f"set data.{name}.source to local and data.{name}.path to that folder"
    )


def local(key: str, value: str, out: Path) -> Path:
    """Return the path of a user's own data.

    Args:
        key: the key of the path in params.yaml, for error messages.
        value: its value.
        out: the folder that the stage clears and writes.

    Raises:
        InputError: the path does not exist, is a file of annotations, or overlaps `out`.
    """
    path = Path(value)
    if not path.exists():
        raise InputError(
            f"{key} = {value}: there is no such file or folder: give an absolute path (a relative one begins at the "
            "repository's root, which is another one under `dvc exp run --temp`)"
        )
    if not path.is_file() and not path.is_dir():
        raise InputError(f"{key} = {value} is a pipe or a device: give a tar, a zip or a folder")
    if path.is_file() and path.suffix.lower() in ANNOTATIONS:
        raise InputError(
            f"{key} = {value} has no images: give the folder, or a tar or zip, that holds them with this file"
        )
    inner, outer = path.resolve(), out.resolve()
    if inner.is_relative_to(outer) or outer.is_relative_to(inner):
        raise InputError(f"{key} = {value} overlaps {out}, which this stage clears: move your data to another folder")
    return path
