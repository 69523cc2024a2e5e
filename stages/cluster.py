"""The processes that share the work of a stage: those of this machine, or the workers of a Dask cluster.

Dask schedules the items, and gives those of a worker that dies to another one. docs/cluster.md tells how to start one.
joblib has a back-end for Dask, which is not used: it waits for ever if a task kills its workers or the scheduler goes.
"""

import atexit
import math
import pickle
import sys
import time
import uuid
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import CancelledError
from contextlib import contextmanager
from functools import cache
from pathlib import Path
from queue import Empty, SimpleQueue
from typing import Any

from tqdm import tqdm

from src.errors import InputError
from src.files import unfinished
from src.files.storage import make_folder
from src.files.versions import PACKAGES
from src.parallel import Item, Jobs, Result
from stages import arithmetic, remote
from stages.connection import connected
from stages.environment import CHECKPOINTS, SCHEDULER, jobs, scheduler
from stages.tasks import AHEAD, Sizes

ANSWER = 60  # seconds for all workers to answer, some of which import PyTorch from a network disk
LOST = 60  # seconds without any worker, after which nobody waits for the results
COUNT = 5  # seconds between two counts of the workers, of which more may come
LIBRARIES = {**PACKAGES, "numpy": ["numpy"]}


def pool() -> Jobs:
    """Return the workers of the cluster, or the number of processes on this machine if there is none."""
    return cluster() or jobs()


def share_of_cluster() -> "Callable[..., list[Any]] | None":
    """Return the function that lets the cluster compute items; None if there is no cluster."""
    workers = cluster()
    return workers.map if workers else None


@cache
def cluster() -> "Cluster | None":
    """Return the workers of the Dask cluster that the environment names; None if it names none.

    Raises:
        InputError: Dask is not installed, no scheduler answers, or one of its workers cannot serve this run.
    """
    address = scheduler()
    return None if address is None else Cluster(address)


class Cluster:
    """The workers of a Dask cluster. Each is compared with this process before it gets work (`stages.remote.unfit`)."""

    def __init__(self, address: str) -> None:
        """Connect to the scheduler, and compare the workers that are there with this process."""
        self.address = address
        self.client = connected(address)
        with self._told():
            self._wait_for_a_worker()
            self._check_python()
            self.run = _this_run()
            self._check_workers()

    def __str__(self) -> str:
        return f"{self.cores} processes of the Dask cluster at {self.address}"

    @property
    def cores(self) -> int:
        """Number of the cluster's processes now."""
        return len(self.client.nthreads())

    def map(self, function: Callable[[Item], Result], items: Sequence[Item], label: str) -> list[Result]:
        """Compute the results of all items, each with one thread; the items of a worker that dies are computed again.

        Raises:
            InputError: the scheduler or all workers went away, a worker cannot serve this run, or its disk is full.
        """
        name, work = uuid.uuid4().hex, _ByValue(remote.work)
        results: list[Any] = [None] * len(items)
        running: dict[Any, slice] = {}
        done: SimpleQueue[Any] = SimpleQueue()
        sizes, first, cores, counted = Sizes(), 0, 0, -math.inf
        with self._told(), _on_disk(function) as path, tqdm(total=len(items), desc=label, mininterval=1.0) as bar:
            try:
                while running or first < len(items):
                    if time.monotonic() - counted > COUNT:
                        cores, counted = self.cores, time.monotonic()
                    while first < len(items) and len(running) < AHEAD * max(1, cores):
                        part = slice(first, first + sizes.next(len(items) - first, cores))
                        task = work, self.run, path, _pickled(list(items[part]))
                        future = self.client.submit(*task, key=(f"{label}-{name}", first), pure=False)
                        running[future] = part
                        future.add_done_callback(done.put)
                        first = part.stop
                    future = self._next(done)
                    part = running.pop(future)
                    results[part], seconds = self._result(future)
                    sizes.learn(part.stop - part.start, seconds)
                    bar.update(part.stop - part.start)
            finally:
                self.client.cancel(list(running))
        return results

    def _next(self, done: "SimpleQueue[Any]") -> Any:
        """Wait for a task that has ended; Dask puts it into the queue."""
        alone: float | None = None  # since when there is no worker
        while True:
            try:
                return done.get(timeout=COUNT)
            except Empty:
                if self.cores:
                    alone = None
                elif alone is None:
                    alone = time.monotonic()
                    tqdm.write(f"no worker of the Dask cluster is left: waiting {LOST} s for one", file=sys.stderr)
                elif time.monotonic() - alone > LOST:
                    raise InputError(
                        f"all workers of the Dask cluster at {self.address} are gone: start some, and run the same "
                        "command again"
                    ) from None

    def _result(self, future: Any) -> tuple[list[Any], float]:
        """Return the results of a task, and its seconds."""
        from distributed import KilledWorker

        if isinstance(error := future.exception(), KilledWorker):
            raise InputError(
                f"several workers of the Dask cluster at {self.address} died one after the other with the same items: "
                "see their logs, and give each more memory (--memory-limit)"
            ) from None
        if error is not None:
            raise error
        reason, results, seconds = future.result()
        if reason:
            raise InputError(reason)
        return results, seconds

    def _wait_for_a_worker(self) -> None:
        try:
            self.client.wait_for_workers(1, timeout=ANSWER)
        except TimeoutError:
            raise InputError(
                f"the Dask scheduler at {self.address} had no worker for {ANSWER} s: start one in the checkout with "
                f"`PYTHONPATH=. dask worker {self.address} --nthreads 1 --preload-nanny stages`, or unset {SCHEDULER}"
            ) from None

    def _check_python(self) -> None:
        """Compare the versions of Python, before functions are sent whose code another version cannot read."""
        for worker, found in self.client.get_versions()["workers"].items():
            theirs = found["host"]["python"].split(".")[:2]
            if theirs != [str(part) for part in sys.version_info[:2]]:
                ours = f"{sys.version_info[0]}.{sys.version_info[1]}"
                raise InputError(
                    f"the Dask worker {worker} has Python {'.'.join(theirs)}, and this run {ours}: start it with the "
                    "Python of this checkout"
                )

    def _check_workers(self) -> None:
        for worker, threads in self.client.nthreads().items():
            if threads > 1:
                raise InputError(
                    f"the Dask worker {worker} has {threads} threads in one process: start it with `--nthreads 1`, and "
                    "several processes with `--nworkers`"
                )
        try:
            reasons = self.client.run(_ByValue(remote.unfit), self.run, on_error="return", callback_timeout=ANSWER)
        except TimeoutError:
            raise InputError(
                f"some of the {self.cores} workers at {self.address} did not answer within {ANSWER} s: see which of "
                "them hangs on the page of the scheduler, and start it again"
            ) from None
        for worker, reason in reasons.items():
            if isinstance(reason, Exception):
                raise InputError(f"the Dask worker {worker} could not be asked ({reason}): see its log") from reason
            if reason is not None:
                raise InputError(f"the Dask worker {worker} {reason}")

    @contextmanager
    def _told(self) -> Iterator[None]:
        """Turn what Dask raises when the scheduler is gone into a sentence."""
        from distributed.comm import CommClosedError

        try:
            yield
        except (CancelledError, CommClosedError):
            raise self._gone() from None
        except Exception:
            if self.client.status != "running":
                raise self._gone() from None
            raise

    def _gone(self) -> InputError:
        return InputError(
            f"the Dask scheduler at {self.address} went away: start it again, or unset {SCHEDULER}; no file is "
            "half-written, and the same command goes on"
        )


class _ByValue:
    """A function of `stages.remote` that unpickles without this project's code."""

    def __init__(self, function: Callable[..., Any]) -> None:
        import cloudpickle

        cloudpickle.register_pickle_by_value(remote)
        self.function, self.content = function, cloudpickle.dumps(function)
        cloudpickle.unregister_pickle_by_value(remote)

    def __call__(self, *arguments: Any) -> Any:
        return self.function(*arguments)

    def __reduce__(self) -> tuple[Any, ...]:
        return pickle.loads, (self.content,)


@contextmanager
def _on_disk(function: Callable[..., Any]) -> Iterator[str]:
    """Write a function to a file for the workers; not sent with the items, because it may hold a network.

    As a result of Dask it would lie on one worker, and Dask would give that worker nearly all items.
    """
    path = _temporary()
    try:
        with unfinished.told(path, path):
            path.write_bytes(_pickled(function))
        yield str(path)
    finally:
        path.unlink(missing_ok=True)


def _temporary() -> Path:
    """Return the name of a new file in `CHECKPOINTS`, which `check` removes if this process is killed."""
    make_folder(CHECKPOINTS)
    return unfinished.temporary_name(CHECKPOINTS.absolute() / f"cluster-{uuid.uuid4().hex}")


def _pickled(value: Any) -> bytes:
    import cloudpickle  # takes also functions of the script that runs

    return bytes(cloudpickle.dumps(value))


def _this_run() -> remote.Run:
    """Describe this run for its workers; a file in `CHECKPOINTS` stays until this process ends."""
    folder, with_torch = str(Path.cwd()), "torch" in sys.modules
    note = _temporary()
    note.touch()
    atexit.register(note.unlink, missing_ok=True)
    pinned = arithmetic.mode() == arithmetic.PINNED
    versions = {name: (dists, here) for name, dists in LIBRARIES.items() if (here := remote.installed(dists))}
    return {
        "folder": folder,
        "note": str(note),
        "code": remote.digest(folder),
        "versions": versions,
        "torch": with_torch,
        "computed": remote.computed(with_torch) if pinned else "",
        "pinned": {} if pinned else arithmetic.SETTINGS,
    }
