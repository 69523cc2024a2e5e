"""Compare what a stage needs on the disk and in memory with what is free, before its work.

A stage that would end hours later with a full disk, or be killed for its memory, ends at once with one sentence. The
formulas stand where the arrays are made, and docs/running.md ("Disk and memory") lists them by stage.
"""

import shutil
from pathlib import Path

from src.errors import InputError
from src.files.storage import make_folder
from src.files.unfinished import shown

CGROUP = Path("/sys/fs/cgroup")  # of a container: its limit of memory and its use, by version 2 and 1 of cgroups
LIMITS = ("memory.max", "memory.current"), ("memory/memory.limit_in_bytes", "memory/memory.usage_in_bytes")


def disk(folder: Path, needed: float, purpose: str, remedy: str = "") -> None:
    """Raise an `InputError` if the disk of a folder has less than `needed` bytes free.

    Args:
        folder: the folder of the output; it is made if it does not exist.
        needed: bytes; 0 always fits.
        purpose: what takes the bytes, as in "needs 45.1 GB for `purpose`".
        remedy: what else a user can do beside making room; may be empty.
    """
    make_folder(folder)
    if needed > (free := shutil.disk_usage(folder).free):
        raise InputError(
            f"{folder} needs {shown(needed)} for {purpose} and has {shown(free)} free: make room"
            + (f", or {remedy}" if remedy else "")
        )


def memory(needed: float, purpose: str, remedy: str) -> None:
    """Raise an `InputError` if less than `needed` bytes of memory are free.

    Args:
        needed: bytes, beside what the process has by now.
        purpose: what takes the bytes, as in "`purpose` need 12.3 GB of memory".
        remedy: what a user can do.
    """
    if needed > (free := free_memory()):
        raise InputError(f"{purpose} need {shown(needed)} of memory and {shown(free)} are free: {remedy}")


def free_memory(cgroup: Path = CGROUP) -> int:
    """Return the bytes that this process may still use: those of the machine, or of its container if they are fewer.

    Args:
        cgroup: folder of the container's control group; without its files there is no limit.
    """
    import psutil  # here, not above: most runs ask for the disk alone

    free = [psutil.virtual_memory().available]
    for limit, use in LIMITS:
        if (cgroup / limit).exists() and (cgroup / use).exists():
            most = (cgroup / limit).read_text().strip()
            if most != "max":
                free.append(max(0, int(most) - int((cgroup / use).read_text())))
    return min(free)
