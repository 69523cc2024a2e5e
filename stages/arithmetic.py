"""Pin the arithmetic, so that every x86-64 processor with AVX2 computes the same bytes.

Libraries choose their instructions by processor and their threads by the number of cores. Each choice adds numbers in
another order, and training carries the last digits on to the scores. The pinned mode makes these choices for them. Its
variables act when a library is loaded, so `stages/__init__.py` calls `pin` before anything imports torch or NumPy.
docs/reproducibility.md says on which processors results were compared, and what the pinned mode costs.
"""

import os
from collections.abc import Mapping, MutableMapping
from pathlib import Path

from src.errors import InputError

VARIABLE = "ARITHMETIC"
PINNED, NATIVE = "pinned", "native"
THREADS = 2
SETTINGS = {
    "ATEN_CPU_CAPABILITY": "avx2",  # PyTorch's own kernels
    "ONEDNN_MAX_CPU_ISA": "AVX2",  # convolutions
    "MKL_CBWR": "COMPATIBLE",  # matrix products; with AVX2, AMD's processors get other results than Intel's
    "MKL_DYNAMIC": "FALSE",  # MKL keeps to the number of threads, even with fewer cores
    "NPY_ENABLE_CPU_FEATURES": "X86_V3",  # NumPy's exp, log and the like
    "OPENBLAS_CORETYPE": "Haswell",  # matrix products of NumPy and SciPy, and so liblinear's
    "OPENBLAS_NUM_THREADS": "1",
    "OMP_DYNAMIC": "FALSE",
    "OMP_NUM_THREADS": str(THREADS),
    "MKL_NUM_THREADS": str(THREADS),
}
# In both modes. Threads that wait for others look for work so many times before they sleep, because to wake up takes
# longer than most operators of a small network. docs/performance.md has the seconds for other numbers.
WAIT = {"OMP_WAIT_POLICY": "passive", "GOMP_SPINCOUNT": "5000"}
# OpenCV compares it with the size in an image's header before it takes the memory: 600 MB for this many in colours.
PIXELS = ("OPENCV_IO_MAX_IMAGE_PIXELS", "200000000")
NEEDED = {"avx2", "fma", "bmi1", "bmi2", "f16c", "movbe", "abm"}  # with the names of Linux; together x86-64-v3
CPUINFO = Path("/proc/cpuinfo")


def pin(environment: MutableMapping[str, str] = os.environ) -> None:
    """Set the variables above, over what the user has set, unless `ARITHMETIC=native` or the processor lacks AVX2."""
    environment.setdefault(*PIXELS)
    if "OMP_WAIT_POLICY" not in environment:
        environment.update({**WAIT, **environment})
    if environment.get(VARIABLE, PINNED) != NATIVE and can_pin():
        environment.update(SETTINGS)


def unpinned(environment: Mapping[str, str] = os.environ) -> dict[str, str]:
    """Return an environment without the settings above: a native child of a pinned process would have them, too."""
    return {name: value for name, value in environment.items() if name not in SETTINGS}


def can_pin(cpuinfo: Path = CPUINFO) -> bool:
    """Tell whether the processor has the instructions that the pinned mode uses: x86-64 with AVX2 and FMA."""
    if not cpuinfo.exists():
        return False
    flags = next((line for line in cpuinfo.read_text().splitlines() if line.startswith("flags")), "")
    return set(flags.split()) >= NEEDED


def mode() -> str:
    """Return the mode of this process, `pinned` or `native`; another word in `ARITHMETIC` is an `InputError`."""
    value = os.environ.get(VARIABLE, PINNED)
    if value not in (PINNED, NATIVE):
        raise InputError(f"the environment has {VARIABLE}={value}, which must be {PINNED} or {NATIVE}, or unset")
    return value if can_pin() else NATIVE
