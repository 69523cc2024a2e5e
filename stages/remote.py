"""The code that runs in a worker of a Dask cluster. It is sent there by value: the worker must not have imported it.

A worker may serve several runs in turns, with other code and in other folders: experiments of DVC run in folders of
their own, and code is edited while a cluster runs. So each task names its run, and a worker that served another run
before changes its folder and imports the code anew. It has one thread, so no other task can see the change.
"""

import hashlib
import importlib
import os
import pickle
import sys
from collections.abc import Iterable
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any, TypedDict

CODE = ("src", "stages")  # the packages that the functions of a stage come from
IMPORTED = (*CODE, "commands", "benchmarks", "tests")  # all packages of a checkout


class Run(TypedDict):
    """A run, as its workers must know it."""

    folder: str  # of the checkout
    note: str  # a file in it that exists as long as the run
    code: str  # `digest` of the folder
    versions: dict[str, tuple[list[str], str]]  # by library: the distributions that install it, and the version
    torch: bool  # whether the run computes with PyTorch
    computed: str  # `computed`, or empty if any other value will do


def work(run: Run, function: str, item: bytes) -> tuple[bool, Any]:
    """Call a function in a worker, for a run.

    Args:
        run: the run.
        function: the file of the function, pickled; the function is kept for the next item.
        item: its argument, pickled.

    Returns:
        (True, the result), or (False, the reason why this worker cannot serve the run, to follow its name).
    """
    from distributed import get_worker

    worker = get_worker()
    served = getattr(worker, "served", {})
    if served.get("run") != run:
        if reason := unfit(run):
            return False, reason
        _enter(run, served.get("run"))
        served = worker.served = {"run": run}
    on_one_thread = importlib.import_module("src.parallel").on_one_thread
    try:
        if served.get("name") != function:
            served.update(name=function, function=pickle.loads(Path(function).read_bytes()))
        return True, on_one_thread(served["function"], pickle.loads(item))
    except FileNotFoundError as error:
        return False, f"has no file {error.filename}: put the data and DVC's cache on a disk that all machines share"


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
    if run["computed"] and computed(run["torch"]) != run["computed"]:
        return "computes other last digits: start it with `--preload-nanny stages`, on x86-64 with AVX2"
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
