"""The environment variables of a run, and what follows from them: how a stage runs, never what it computes.

docs/running.md lists the variables; those of several processes that train together are read in stages/group.py.
"""

import os
import re
import shutil
import sys
import time
from collections.abc import Iterable, Mapping
from functools import cache
from pathlib import Path
from typing import Any

from src.errors import InputError
from src.files.shards import Shards
from src.files.storage import fingerprint
from stages import arithmetic, group
from stages.edited import ROOT, sources

SCHEDULER = "DASK_SCHEDULER_ADDRESS"
MAX_WORKERS = 8
SHARED_MEMORY = Path("/dev/shm")  # through which workers hand over their batches
SHARED_BYTES = 2 << 30  # that workers need: 8 of them hold up to 24 batches, of 35 MB each for SSD300
CHECKPOINTS = Path(".checkpoints")  # outside DVC's outputs, which DVC removes before a stage runs
OTHERS = 3  # checkpoints of other inputs that stay, for each training
MONTH = 30 * 86_400  # seconds


def jobs() -> int:
    """Return the number of processes that share the work of a stage: `JOBS`, or one per CPU of this process."""
    return group.number("JOBS", _cpus())


def scheduler() -> str | None:
    """Return the address of a Dask cluster's scheduler, from Dask's own variable; None if it is not set or empty."""
    return os.environ.get(SCHEDULER) or None


def workers() -> int:
    """Return the number of processes that prepare batches while a network runs.

    That is `WORKERS`, or one per CPU (at most 8) beside a GPU, or 0 on a CPU, which the network itself keeps busy. It
    is also 0 beside a GPU if less than 2 GiB of shared memory are free, as in Docker's default of 64 MB, where workers
    would die with a bus error. Processes that train together divide the CPUs; `WORKERS` is the number for each.
    """
    if "WORKERS" in os.environ:
        return group.number("WORKERS", 0, least=0)
    if not device().startswith("cuda") or not _shared_memory():
        return 0
    place = group.place()
    return max(1, min(MAX_WORKERS, _cpus() // (place.local_world if place else 1)))


@cache  # so that a stage prints it once, and the batches of its own workers do not count
def _shared_memory() -> bool:
    if not SHARED_MEMORY.exists() or shutil.disk_usage(SHARED_MEMORY).free >= SHARED_BYTES:
        return True
    print(
        f"{SHARED_MEMORY} has less than 2 GiB free, so no workers prepare batches: start the container with "
        "--shm-size=8g, or set WORKERS"
    )
    return False


def _cpus() -> int:
    from joblib import cpu_count  # knows affinity and containers, also where Python lacks `os.sched_getaffinity`

    return int(cpu_count())


def device() -> str:
    """Return the device of the networks: `DEVICE` (cpu, cuda, cuda:1), or a GPU if there is one."""
    import torch  # here, not above: the stages that need no network start in a tenth of the time

    value = os.environ.get("DEVICE", "cuda" if torch.cuda.is_available() else "cpu")
    kind, _, index = value.partition(":")
    known = kind == "cpu" or (kind == "cuda" and torch.cuda.is_available())
    if not known or (index and not (kind == "cuda" and index.isdigit() and int(index) < torch.cuda.device_count())):
        raise InputError(f"the environment has DEVICE={value}, and there is no such device: unset it, or set it to cpu")
    return value


def devices() -> int:
    """Return the number of processes that train on this machine: `DEVICES`, at most one per GPU if there are GPUs."""
    import torch  # as in `device`

    kind, _, index = device().partition(":")
    wanted = group.devices()
    if wanted > 1 and index:
        raise InputError(
            f"the environment has DEVICES={wanted} and DEVICE={device()}, which is one GPU: unset one of them"
        )
    if kind == "cuda" and wanted > torch.cuda.device_count():
        raise InputError(
            f"the environment has DEVICES={wanted}, and this machine has {torch.cuda.device_count()} GPUs: lower it, "
            "or set DEVICE=cpu"
        )
    return wanted


def computed_by() -> str:
    """Return how this process computes, to be recorded beside what it trained: `pinned`, `native` or the GPU's name.

    `native` names the instructions and the threads that PyTorch chose, because its figures depend on both.
    """
    import torch  # as in `device`

    native = not device().startswith("cuda") and arithmetic.mode() == arithmetic.NATIVE
    return f"{_instructions()}, {torch.get_num_threads()} threads" if native else _instructions()


def _instructions() -> str:
    """Return `computed_by` without the threads of native arithmetic, which depend on the number of processes."""
    import torch  # as in `device`

    if (name := device()).startswith("cuda"):
        return torch.cuda.get_device_name(name)
    if arithmetic.mode() == arithmetic.PINNED:
        return arithmetic.PINNED
    return f"{arithmetic.NATIVE}: {torch.backends.cpu.get_cpu_capability()}"


def checkpoint(name: str, params: Mapping[str, Any], files: Iterable[Path]) -> Path:
    """Return the file for the state of the training `name`, so that an interrupted run resumes.

    The file's name is a hash of all that decides what the training computes: its parameters, the content of its input
    files, the arithmetic, and the code, because half a training by another arithmetic or by other code would be a
    result that nobody can repeat. The numbers of processes and of threads are not in it, so that a training resumes
    with others. The code is that which this process has imported from `src/` and `stages/`. Files of the same training
    with other inputs stay for a month, at most the `OTHERS` newest of them, so that a change that is taken back
    resumes; older ones are removed, and a line tells how many stay.
    """
    inputs = [*files, *sources(ROOT)]
    path = CHECKPOINTS / f"{name}-{fingerprint({**params, 'arithmetic': _instructions()}, inputs)}.pt"
    if group.is_first() and (others := _pruned(name, path)):
        print(f"{others} older checkpoints of this training, of other code, data or parameters, in {CHECKPOINTS}")
    return path


def shards(name: str, params: Mapping[str, Any], files: Iterable[Path | None]) -> Shards:
    """Return the parts of the stage `name` that a run left when it was stopped, in a folder named as `checkpoint` says.

    The parts of other inputs are removed, because those of features may take as much room as the features.
    """
    # The results of a stage without PyTorch, which takes two seconds to import, depend on the mode alone.
    computed = computed_by() if "torch" in sys.modules else arithmetic.mode()
    inputs = [*(file for file in files if file is not None), *sources(ROOT)]
    folder = CHECKPOINTS / f"{name}-{fingerprint({**params, 'arithmetic': computed}, inputs)}"
    _pruned(name, folder, others=0)
    found = Shards(folder.absolute())
    if count := found.found():
        print(f"goes on after a run that was stopped: {count} parts are there")
    return found


def _pruned(name: str, path: Path, others: int = OTHERS) -> int:
    """Remove the old checkpoints of other inputs, all but `others`; return the number of those that stay."""
    ages: dict[str, float] = {}  # by hash of the inputs: the time of the last epoch
    files = [(file, match[1]) for file in CHECKPOINTS.glob("*") if (match := _file_of(name).fullmatch(file.name))]
    for file, key in files:
        ages[key] = max(ages.get(key, 0), file.lstat().st_mtime)
    older = [key for key in sorted(ages, key=lambda key: ages[key], reverse=True) if key not in path.name]
    kept = [key for key in older[:others] if time.time() - ages[key] < MONTH]
    for file, key in files:
        if key in older and key not in kept:
            shutil.rmtree(file) if file.is_dir() else file.unlink(missing_ok=True)
    return len(kept)


def _file_of(name: str) -> re.Pattern[str]:
    return re.compile(rf"{re.escape(name)}-([0-9a-f]{{16}})((\.[a-z_0-9]+)?\.(pt|npy))?")  # without ending: shards
