"""Files that are being written: their names, the rest that a killed process leaves, and disks that refuse them.

A file that is being written is `.<name>.<process id>-<machine>.tmp`, beside the place that it will have. `.dvcignore`
and `.gitignore` name this form, so that a rest of a killed process makes no stage stale.
"""

import errno
import hashlib
import os
import re
import shutil
import socket
import time
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from pathlib import Path

from src.errors import InputError

FORM = re.compile(r"\..+\.(\d+)(?:-([0-9a-f]{8}))?\.tmp", re.DOTALL)  # without a machine: an earlier version's
DAY = 86_400  # seconds
FULL = {errno.ENOSPC, errno.EDQUOT}
REFUSED = {errno.EACCES, errno.EPERM, errno.EROFS, errno.EFBIG, errno.EIO, errno.ENOTDIR, errno.EISDIR, errno.EEXIST}


def temporary_name(path: Path) -> Path:
    """Return the name of `path` while this process writes it."""
    return path.with_name(f".{path.name}.{os.getpid()}-{_machine()}.tmp")


@cache
def sweep_once(folder: Path) -> None:
    """Sweep a folder, without those below it, at the first call of this process."""
    sweep(folder)


def sweep(folder: Path, pattern: str = "*") -> list[Path]:
    """Remove the rests of processes that are dead, and return them; `**/*` also looks below the folder.

    A rest of this machine goes if no process has its number, or if the process with its number began after the rest
    was written. A process of another machine cannot be seen, so its rest goes if it is a day old. A folder that does
    not exist has none.
    """
    rests = [file for file in folder.glob(pattern) if _is_rest(file)]
    for file in rests:
        file.unlink(missing_ok=True)
    return rests


def _is_rest(file: Path) -> bool:
    if not (match := FORM.fullmatch(file.name)):
        return False
    import psutil  # only now: nearly always there is no such file

    try:
        written = file.lstat().st_mtime
        if match[2] not in (None, _machine()):
            return time.time() - written > DAY
        process = psutil.Process(int(match[1]))
        return process.status() == psutil.STATUS_ZOMBIE or process.create_time() > written + 1
    except psutil.NoSuchProcess:
        return True
    except (psutil.AccessDenied, OSError, OverflowError):  # alive, of another user; or the file has its name by now
        return False


@cache
def _machine() -> str:
    return hashlib.sha256(socket.gethostname().encode()).hexdigest()[:8]


def sync(path: Path) -> None:
    """Wait until a file, or the names in a folder, are on the disk, so that a power cut does not take them back."""
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


@contextmanager
def told(path: Path, temporary: Path) -> Iterator[None]:
    """Turn the error of a disk that is full or refuses `path` into an `InputError` with the sentence of `refusal`."""
    try:
        yield
    except OSError as error:
        if sentence := refusal(error, path, temporary):
            raise InputError(sentence) from error
        raise


def refusal(error: OSError, path: Path, temporary: Path) -> str | None:
    """Describe in one sentence why `path` cannot be written; None if the error is about another file.

    Args:
        error: the error while `temporary` was written or renamed.
        path: the file that was to be written.
        temporary: its name until then; it may exist.
    """
    if error.errno in FULL:
        done = temporary.stat().st_size if temporary.exists() else 0
        free = shutil.disk_usage(path.parent).free if path.parent.exists() else 0
        return (
            f"{path} was not written, because its disk is full ({shown(done)} of it were written, and "
            f"{shown(free)} are free beside them; it needs more than both): make room, for example with "
            "`dvc gc --workspace`, and run the same command again"
        )
    named = {Path(os.fsdecode(name)) for name in (error.filename, error.filename2) if isinstance(name, str | bytes)}
    if error.errno in REFUSED and (not named or named & {path, temporary, *path.parents}):
        return (
            f"{path} cannot be written ({(error.strerror or 'refused').lower()}): see who owns {path.parent}, whether "
            "it is a folder, and whether its disk is mounted for writing; then run the same command again"
        )
    return None


def shown(number: float) -> str:
    """Write a number of bytes with its unit: 1500 is "1.5 kB"."""
    for unit in ("bytes", "kB", "MB"):
        if number < 1000:
            return f"{number:.0f} {unit}" if unit == "bytes" else f"{number:.1f} {unit}"
        number /= 1000
    return f"{number:.1f} GB"
