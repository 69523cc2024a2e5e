"""The code that runs in a worker of a Dask cluster. It is sent there by value: the worker must not have imported it.

A worker may serve several runs in turns, with other code and in other folders: experiments of DVC run in folders of
their own, and code is edited while a cluster runs. So each task names its run, and a worker that served another run
before changes its folder and imports the code anew. It has one thread, so no other task can see the change.
"""

import ctypes
import hashlib
import importlib
import os
import pickle
import sys
import time
from collections.abc import Iterable
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any, TypedDict

CODE = ("src", "stages")  # the packages that the functions of a stage come from
IMPORTED = (*CODE, "commands", "benchmarks", "tests")  # all packages of a checkout
MALLOC = {-3: 32 << 20, -1: 64 << 20}  # bytes, by glibc's numbers for M_MMAP_THRESHOLD and M_TRIM_THRESHOLD


class Run(TypedDict):
    """A run, as its workers must know it."""

    folder: str  # of the checkout
    note: str  # a file in it that exists as long as the run
    code: str  # `digest` of the folder
    versions: dict[str, tuple[list[str], str]]  # by library: the distributions that install it, and the version
    torch: bool  # whether the run computes with PyTorch
    computed: str  # `computed`, or empty if any other value will do
    pinned: dict[
        str, str
    ]  # the variables that pin the arithmetic, if this run is native and a worker must not have them


def work(run: Run, function: str, items: bytes) -> tuple[str, list[Any], float]:
    """Call a function for some items in a worker, for a run.

    Args:
        run: the run.
        function: the file of the function, pickled; the function is kept for the next items.
        items: the list of its arguments, pickled.

    Returns:
        a sentence why this worker cannot serve the run, or an empty one; the results; the seconds of the calls.
    """
    from distributed import get_worker

    worker = get_worker()
    served = getattr(worker, "served", {})
    if served.get("run") != run:
        if reason := unfit(run):
            return f"the Dask worker {worker.address} {reason}", [], 0.0
        _enter(run, served.get("run"))
        _keep_memory()
        served = worker.served = {"run": run}
    try:
        if served.get("name") != function:
            served.update(name=function, function=pickle.loads(Path(function).read_bytes()))
        on_one_thread = importlib.import_module("src.parallel").on_one_thread
        begin = time.perf_counter()
        results = [on_one_thread(served["function"], item) for item in pickle.loads(items)]
        return "", results, time.perf_counter() - begin
    except Exception as error:
        if reason := _of_the_disk(error):
            return f"the Dask worker {worker.address} {reason}", [], 0.0
        raise


def _of_the_disk(error: Exception) -> str:
    """Return why a worker's disk has ended its work, to follow its name; empty if another thing has."""
    if isinstance(error, FileNotFoundError):
        return f"has no file {error.filename}: put the data and DVC's cache on a disk that all machines share"
    if isinstance(error.__cause__, OSError):  # one of `src.files.unfinished.told`: full, or it refuses the file
        return f"cannot go on: {error}"
    return ""


def _keep_memory() -> None:
    """Let this process keep memory that it has freed, as others do, for the next array.

    Dask's nanny starts it with MALLOC_TRIM_THRESHOLD_, so that it gives each larger array back to the system. Selective
    search took a quarter more processor time for that. The numbers are the highest that glibc chooses by itself.
    """
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None)  # of Linux
    if mallopt:
        for parameter, value in MALLOC.items():
            mallopt(parameter, value)


def _enter(run: Run, before: Run | None) -> None:
    """Work in the folder of the run, and import its code from there from now on."""
    os.chdir(run["folder"])
    for name in [name for name in sys.modules if name.partition(".")[0] in IMPORTED]:
        del sys.modules[name]
    gone = {run["folder"], before["folder"] if before else ""}
    sys.path[:] = [run["folder"], *(path for path in sys.path if path not in gone)]
    importlib.invalidate_caches()


def unfit(run: Run) -> str | None:
    """Return why this process cannot serve a run, to follow its name, with the remedy; None if it can."""
    for library, (distributions, wanted) in run["versions"].items():
        found = installed(distributions)
        if found != wanted:
            has = f"{library} {found}" if found else f"no {library}"
            return f"has {has}, and this run {wanted}: install the packages of requirements.lock there"
    try:
        with Path(run["note"]).open("r+b"):
            pass
    except FileNotFoundError:
        return (
            f"does not see the files of {run['folder']}: put the checkout on a disk that all machines have under this "
            "name"
        )
    except OSError as error:
        return f"may not write in {run['folder']} ({error.strerror}): start it as the user of this run"
    if digest(run["folder"]) != run["code"]:
        return f"sees other code in {run['folder']} than this run began with: run the same command again"
    if run["pinned"] and run["pinned"].items() <= os.environ.items():
        return (
            "computes with pinned arithmetic, and this run with ARITHMETIC=native: start it without `--preload-nanny "
            "stages`"
        )
    if run["computed"] and computed(run["torch"]) != run["computed"]:
        return (
            "computes other last digits: start it in the checkout with `PYTHONPATH=. dask worker ... --preload-nanny "
            "stages`, on x86-64 with AVX2"
        )
    return None


def installed(distributions: Iterable[str]) -> str | None:
    """Return the version of the first distribution that is installed, without the part that names a build."""
    for distribution in distributions:
        try:
            return version(distribution).partition("+")[0]
        except PackageNotFoundError:
            continue
    return None


def digest(folder: str) -> str:
    """Return a hash of the project's code in a folder."""
    total = hashlib.sha256()
    for path in sorted(path for name in CODE for path in Path(folder, name).rglob("*.py")):
        total.update(f"{path.relative_to(folder).as_posix()}\n".encode() + path.read_bytes())
    return total.hexdigest()[:16]


def computed(torch: bool) -> str:
    """Return a hash of sums, products and exponentials, whose last digits depend on the instructions of a process.

    The work is so little that no library divides it among threads. `torch` includes PyTorch, which takes two seconds to
    import.
    """
    import numpy as np

    numbers = np.random.default_rng(0).normal(size=(64, 1000))
    single = numbers.astype(np.float32)
    results = [np.exp(numbers), numbers @ numbers.T, single @ single.T]
    if torch:
        from torch import from_numpy
        from torch.nn.functional import conv2d

        image, kernels = from_numpy(single[:, :400].reshape(1, 64, 20, 20)), from_numpy(single[:8, :576])
        # Not a product of two matrices: MKL would divide the smallest among threads, of which a worker may have others.
        results += [
            conv2d(image, kernels.reshape(8, 64, 3, 3)).numpy(),
            kernels.exp().numpy(),
            (kernels @ kernels[0]).numpy(),
        ]
    return hashlib.sha256(b"".join(np.ascontiguousarray(result).tobytes() for result in results)).hexdigest()[:16]
