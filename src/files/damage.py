"""Sentences about files that cannot be read: damaged, of another kind, or no files at all."""

import errno
import json
import lzma
import os
import struct
import zipfile
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from src.errors import InputError

REMEDY = (
    "remove it and run `dvc repro`; if DVC's cache holds the same damaged file, `dvc repro -f` makes all outputs again"
)
# What zipfile, its decompressors, NumPy, json and safetensors raise for bytes that are not theirs. RuntimeError: an
# encrypted member, and NotImplementedError, for versions of zip that are no versions.
ERRORS = (
    *(zipfile.BadZipFile, zlib.error, lzma.LZMAError, struct.error, json.JSONDecodeError, EOFError, KeyError),
    *(ValueError, TypeError, OverflowError, RuntimeError),
)


@contextmanager
def told(path: str | Path, kind: str, remedy: str = REMEDY) -> Iterator[None]:
    """Turn the errors of a broken file into an `InputError`: `path` is no whole `kind`, why, and the remedy.

    A pipe or a device in the place of the file is refused before it is opened, because to read it may never end. A file
    that does not exist stays a `FileNotFoundError`.
    """
    regular(path)
    try:
        yield
    except (*ERRORS, OSError) as error:
        if isinstance(error, OSError) and error.errno != errno.EINVAL:  # an offset before the file's beginning
            raise
        why = (str(error) or type(error).__name__).splitlines()[0]
        raise InputError(f"{path} is no whole {kind} ({why}): {remedy}") from None


def regular(path: str | Path) -> None:
    """Raise an `InputError` if a path is a folder, a named pipe or a device, and no file."""
    if os.path.exists(path) and not os.path.isfile(path):
        raise InputError(f"{path} is a folder, a pipe or a device, and must be a file: put the file in its place")
