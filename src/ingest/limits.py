"""Limits of what a user's archive may hold, so that a small file cannot fill the memory or the disk.

Deflate makes zeros a thousand times smaller, and photos, lists and annotations at most some twenty times. The limits
are far above what data sets have; an error names the one that was met.
"""

from gzip import GzipFile
from pathlib import Path, PurePosixPath
from typing import BinaryIO

from src.errors import InputError

ENTRIES = 2_000_000  # files of an archive
MEMBER = 1 << 30  # bytes of one file, which is read at once
TEXT = 64 << 20  # bytes of a list or an annotation: a million lines
TEXTS = {".txt", ".xml", ".names", ".yaml", ".yml"}
RATIO = 200  # unpacked by packed bytes, of an archive that unpacks to more than `SMALL`
SMALL = 256 << 20


def member(archive: Path, name: str, size: int) -> None:
    """Raise an `InputError` if a file of so many bytes is too large to be read."""
    limit = TEXT if PurePosixPath(name).suffix.lower() in TEXTS else MEMBER
    if size > limit:
        raise InputError(
            f"{archive}: {name} has {size / 1e6:.0f} MB, and such a file may have {limit / 1e6:.0f} MB: split or "
            "remove it"
        )


def unpacked(archive: Path, packed: int, size: int, entries: int = 1) -> None:
    """Raise an `InputError` if an archive of `packed` bytes unpacks to `size` bytes, or entries, as only bombs do."""
    if entries > ENTRIES:
        raise InputError(f"{archive} has {entries} files, and may have {ENTRIES}: divide it")
    if size > max(SMALL, RATIO * packed):
        raise InputError(
            f"{archive} has {packed / 1e6:.1f} MB and unpacks to {size / 1e6:.0f} MB or more, which no data set does "
            f"(at most {RATIO} to 1): it is damaged or no data set, so pack it again"
        )


def copy(source: GzipFile, target: BinaryIO, archive: Path, packed: int) -> None:
    """Copy what is unpacked from `source`, and stop with an `InputError` where `unpacked` does."""
    done = 0
    while block := source.read(1 << 20):
        done += len(block)
        unpacked(archive, packed, done)
        target.write(block)
