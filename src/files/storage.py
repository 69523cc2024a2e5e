"""Files between stages: written whole or not at all, and the same bytes for the same content.

A stage that dies half way leaves no half file (temporary name, then rename), and DVC skips the stages behind an output
whose bytes did not change (fixed dates, fixed order).
"""

import hashlib
import io
import json
import math
import os
import zipfile
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:  # a quarter of a second, which a stage without a table need not spend
    import pandas as pd

FIXED_DATE = (1980, 1, 1, 0, 0, 0)  # the first date that a zip can hold
METRIC_DIGITS = 4


@contextmanager
def atomic(path: str | Path) -> Iterator[Path]:
    """A temporary path beside `path`, renamed to it when the block ends well and removed when it does not."""
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    try:
        yield temporary
        os.replace(temporary, path)
    finally:
        temporary.unlink(missing_ok=True)


def write_zip(path: str | Path, entries: Iterable[tuple[str, bytes]]) -> None:
    """A zip of uncompressed entries in the order given: random access, and the same bytes each time."""
    with atomic(path) as temporary, zipfile.ZipFile(temporary, "w", zipfile.ZIP_STORED) as archive:
        for name, content in entries:
            archive.writestr(zipfile.ZipInfo(name, FIXED_DATE), content)


def write_npz(path: str | Path, arrays: Mapping[str, np.ndarray]) -> None:
    """Arrays under their names, without pickling (`numpy.savez` would date its entries with the present time)."""

    def entries() -> Iterator[tuple[str, bytes]]:
        for name in sorted(arrays):
            buffer = io.BytesIO()
            np.lib.format.write_array(buffer, np.asarray(arrays[name], order="C"), allow_pickle=False)
            yield f"{name}.npy", buffer.getvalue()

    write_zip(path, entries())


def read_npz(path: str | Path) -> dict[str, np.ndarray]:
    """What `write_npz` wrote."""
    with np.load(path, allow_pickle=False) as archive:
        return dict(archive.items())


def write_json(path: str | Path, content: Mapping[str, Any]) -> None:
    """Indented JSON in the order given, floats rounded as in `write_csv`. NaN is refused: it is not JSON."""
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
    """A table with a header and no index; floats have 4 digits behind the point, or behind its zeros."""
    with atomic(path) as temporary:
        table.map(_rounded).to_csv(temporary, index=False, lineterminator="\n")


def fingerprint(params: Mapping[str, Any], files: Iterable[Path]) -> str:
    """A name for what a training computes: a hash of its parameters and of the content of its input files."""
    digest = hashlib.sha256(json.dumps(params, sort_keys=True).encode())
    for block in _blocks(files):
        digest.update(block)
    return digest.hexdigest()[:16]


def _blocks(files: Iterable[Path]) -> Iterator[bytes]:
    for path in files:
        with path.open("rb") as file:
            while block := file.read(1 << 20):
                yield block
