"""What the environment says of the machine: how a stage runs, never what it computes (docs/running.md)."""

import os

from src.errors import InputError
from stages import arithmetic


def jobs() -> int:
    """Processes that share the work of a stage: `JOBS`, or one for each CPU that this process may use."""
    value = os.environ.get("JOBS", str(len(os.sched_getaffinity(0))))
    if not value.isdigit() or int(value) < 1:
        raise InputError(f"the environment has JOBS={value}, which must be a number of processes, at least 1")
    return int(value)


def device() -> str:
    """Where networks run: `DEVICE` (cpu, cuda, cuda:1), or a GPU where there is one."""
    import torch  # here, not above: the stages that need no network start in a tenth of the time

    value = os.environ.get("DEVICE", "cuda" if torch.cuda.is_available() else "cpu")
    if value.startswith("cuda") and not torch.cuda.is_available():
        raise InputError(f"the environment has DEVICE={value}, and there is no such device: unset it, or set it to cpu")
    return value


def workers() -> int:
    """Processes that prepare batches while a network runs: `WORKERS`, or none."""
    value = os.environ.get("WORKERS", "0")
    if not value.isdigit():
        raise InputError(f"the environment has WORKERS={value}, which must be a number of processes, 0 or more")
    return int(value)


def computed_by() -> str:
    """How this process computes, to be recorded beside what it trained: `pinned`, `native` or the name of the GPU.

    `native` names the instructions and the threads that PyTorch chose, because its figures depend on both.
    """
    import torch  # as in `device`

    if (where := device()).startswith("cuda"):
        return torch.cuda.get_device_name(where)
    if arithmetic.mode() == arithmetic.PINNED:
        return arithmetic.PINNED
    return f"{arithmetic.NATIVE}: {torch.backends.cpu.get_cpu_capability()}, {torch.get_num_threads()} threads"
