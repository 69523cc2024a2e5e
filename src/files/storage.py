"""Files between stages: written completely or not at all, with the same bytes for the same content.

A stage that fails halfway leaves no half-written file (src/files/unfinished.py). DVC skips the stages after an output
whose bytes did not change (fixed dates, fixed order).
"""

import hashlib
import io
import json
import math
import os
import zipfile
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from src.files import unfinished
from src.files.damage import told

if TYPE_CHECKING:  # importing pandas takes a quarter of a second, which only stages with tables need
    import pandas as pd

FIXED_DATE = (1980, 1, 1, 0, 0, 0)  # the first date that a zip can hold
METRIC_DIGITS = 4


@contextmanager
def atomic(path: str | Path) -> Iterator[Path]:
    """Yield a temporary path beside `path`, renamed to `path` if the block succeeds and removed if it fails.

    The content and the name are on the disk when the block ends. Rests of killed processes in the folder are removed.

    Raises:
        InputError: the disk is full or refuses the file; the message says what to do. The file of before is as it was.
    """
    path = Path(path)
    temporary = unfinished.temporary_name(path)
    try:
        with unfinished.told(path, temporary):
            path.parent.mkdir(parents=True, exist_ok=True)
            unfinished.sweep_once(path.parent.resolve())
            yield temporary
            unfinished.sync(temporary)
            os.replace(temporary, path)
            unfinished.sync(path.parent)
    finally:
        with suppress(OSError):  # a folder that refuses files; the error above tells more
            temporary.unlink(missing_ok=True)


def make_folder(path: Path) -> None:
    """Make the folder of an output, and those above it; a disk that refuses it is an `InputError`, as in `atomic`."""
    with unfinished.told(path, path):
        path.mkdir(parents=True, exist_ok=True)


def write_zip(path: str | Path, entries: Iterable[tuple[str, bytes]]) -> None:
    """Write a zip of uncompressed entries in the given order: random access, and the same bytes each time."""
    with atomic(path) as temporary, zipfile.ZipFile(temporary, "w", zipfile.ZIP_STORED) as archive:
        for name, content in entries:
            archive.writestr(zipfile.ZipInfo(name, FIXED_DATE), content)


def write_npz(path: str | Path, arrays: Mapping[str, np.ndarray]) -> None:
    """Write arrays by name, without pickling (`numpy.savez` would store the current time in its entries)."""

    def entries() -> Iterator[tuple[str, bytes]]:
        for name in sorted(arrays):
            buffer = io.BytesIO()
            np.lib.format.write_array(buffer, np.asarray(arrays[name], order="C"), allow_pickle=False)
            yield f"{name}.npy", buffer.getvalue()

    write_zip(path, entries())


def read_npz(path: str | Path) -> dict[str, np.ndarray]:
    """Read the arrays that `write_npz` wrote; the checksum of each is compared.

    A file that is damaged, compressed, holds pickled objects, or claims more numbers than it has is an `InputError`.
    """
    with told(path, "npz"), zipfile.ZipFile(path) as archive:
        return {entry.filename.removesuffix(".npy"): _read_array(archive, entry) for entry in archive.infolist()}


def _read_array(archive: zipfile.ZipFile, entry: zipfile.ZipInfo) -> np.ndarray:
    if entry.compress_type != zipfile.ZIP_STORED:
        raise ValueError(f"{entry.filename} is compressed")
    with archive.open(entry) as file:
        version = np.lib.format.read_magic(file)
        read_header = np.lib.format.read_array_header_1_0 if version == (1, 0) else np.lib.format.read_array_header_2_0
        shape, _, dtype = read_header(file)
        if dtype.hasobject:
            raise ValueError(f"{entry.filename} holds Python objects")
        if file.tell() + math.prod(shape) * dtype.itemsize != entry.file_size:
            raise ValueError(f"{entry.filename} has {entry.file_size} bytes, which do not fit its shape {shape}")
        file.seek(0)
        array = np.lib.format.read_array(file, allow_pickle=False)
        file.read(1)  # at the end of an entry, zipfile compares the checksum
        return array


def write_json(path: str | Path, content: Mapping[str, Any]) -> None:
    """Write indented JSON in the given order, floats rounded as in `write_csv`. NaN is a ValueError: it is not JSON."""
    with atomic(path) as temporary:
        temporary.write_text(json.dumps(_rounded(content), indent=2, allow_nan=False) + "\n")


def _rounded(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {str(key): _rounded(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_rounded(item) for item in value]
    if isinstance(value, np.generic):
        value = value.item()
    if not isinstance(value, float) or value == 0 or not math.isfinite(value):
        return value
    return round(value, METRIC_DIGITS + max(0, -math.floor(math.log10(abs(value))) - 1))


def write_csv(path: str | Path, table: "pd.DataFrame") -> None:
    """Write a table with a header and no index; floats keep 4 digits after the point and the zeros that follow it."""
    with atomic(path) as temporary:
        table.map(_rounded).to_csv(temporary, index=False, lineterminator="\n")


def fingerprint(params: Mapping[str, Any], files: Iterable[Path]) -> str:
    """Identify a training by a hash of its parameters and of the content of its input files."""
    digest = hashlib.sha256(json.dumps(params, sort_keys=True).encode())
    for block in _blocks(files):
        digest.update(block)
    return digest.hexdigest()[:16]


def _blocks(files: Iterable[Path]) -> Iterator[bytes]:
    for path in files:
        with path.open("rb") as file:
            while block := file.read(1 << 20):
                yield block
