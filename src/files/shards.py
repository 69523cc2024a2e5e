"""Results of a long stage, part by part: a run that was stopped goes on after the parts that it has.

A part is kept as a file until the stage has written its outputs. The folder's name is a hash of all that decides the
results (`stages.environment.shards`), so a part is never used with other parameters, data or code.
"""

import errno
import os
import shutil
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Generic, TypeVar

import numpy as np

from src.errors import InputError
from src.files import unfinished
from src.files.records import Record, read_records, write_records
from src.files.storage import atomic, make_folder, read_npz, write_npz

Item = TypeVar("Item")
Arrays = Mapping[str, np.ndarray]


@dataclass(frozen=True)
class Shards:
    """The folder of the parts."""

    folder: Path

    def keeping(self, function: Callable[[Item], Arrays]) -> "Keeping[Item]":
        """Return a function of (number, item) that keeps the arrays of each item, or finds them."""
        return Keeping(function, self.folder)

    def found(self) -> int:
        """Count the parts that are there."""
        return len(list(self.folder.glob("*.npz")))

    def keep_records(self, number: int, records: Mapping[str, Record]) -> None:
        """Keep the records of part `number`, by image id."""
        write_records(self.folder / f"{number}.npz", records)

    def records(self) -> dict[str, Record]:
        """Return the records of all parts by image id, without those of damaged files."""
        found: dict[str, Record] = {}
        for path in self.folder.glob("*.npz"):
            with suppress(InputError):
                found.update(read_records(path))
        return found

    @contextmanager
    def growing(self, path: Path) -> Iterator[Path]:
        """Yield the file in which `path` grows, and which becomes `path` if the block succeeds.

        If not, it stays with its parts. Without any part it goes, because it may be the file that fills the disk.
        """
        growing = self.folder / f"growing{path.suffix}"
        try:
            with unfinished.told(path, growing):
                make_folder(self.folder)
                yield growing
                unfinished.sync(growing)
                make_folder(path.parent)
                _move(growing, path)
        except BaseException:
            if not self.found():
                self.forget()
            raise

    def forget(self) -> None:
        """Remove all parts, after the outputs are written."""
        shutil.rmtree(self.folder, ignore_errors=True)


@dataclass(frozen=True)
class Keeping(Generic[Item]):
    """A function whose results are kept; it can be sent to other processes that see the same disk."""

    function: Callable[[Item], Arrays]
    folder: Path

    def __call__(self, numbered: tuple[int, Item]) -> Arrays:
        """Return the arrays of an item, computed unless a whole file has them; a damaged file is computed again."""
        number, item = numbered
        path = self.folder / f"{number}.npz"
        if path.is_file():
            try:
                return read_npz(path)
            except InputError:
                path.unlink()
        arrays = self.function(item)
        write_npz(path, arrays)
        return arrays


def _move(source: Path, path: Path) -> None:
    try:
        os.replace(source, path)
        unfinished.sync(path.parent)
    except OSError as error:
        if error.errno != errno.EXDEV:  # another disk, as `data/` may be a link to
            raise
        with atomic(path) as temporary:
            shutil.copyfile(source, temporary)
        source.unlink()
