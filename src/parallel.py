"""A function applied to many items in several processes, with the results in order."""

import os
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from functools import cache
from typing import Protocol, TypeVar

import cv2
from joblib import Parallel, delayed
from threadpoolctl import ThreadpoolController
from tqdm import tqdm

from src.parent import end_with

Item = TypeVar("Item")
Result = TypeVar("Result")


class Pool(Protocol):
    """Processes that are not children of this one, such as those of a cluster."""

    def map(self, function: Callable[[Item], Result], items: Sequence[Item], label: str) -> list[Result]:
        """Compute `[on_one_thread(function, item) for item in items]`, with a progress bar."""
        ...


Jobs = int | Pool


def parallel_map(function: Callable[[Item], Result], items: Sequence[Item], jobs: Jobs, label: str) -> list[Result]:
    """Compute `[function(item) for item in items]` in `jobs` processes or those of a pool, with a progress bar.

    Each call of the function has one thread. So the results do not depend on `jobs`: with several threads, a product of
    matrices adds in another order, and a process among others would get fewer of them.

    Send ids rather than images: to send an image to a process takes longer than to read it there. A pool may compute an
    item twice, if a process of it dies, so a function that writes must write the same bytes to the same place again.
    """
    if not isinstance(jobs, int):
        return jobs.map(function, items, label)
    bar = tqdm(items, desc=label, mininterval=1.0)  # counts items when they start, not when they are done
    return list(Parallel(n_jobs=jobs)(delayed(_in_a_child)(function, os.getpid(), item) for item in bar))


def _in_a_child(function: Callable[[Item], Result], parent: int, item: Item) -> Result:
    if parent != os.getpid():
        end_with(parent)
    return on_one_thread(function, item)


def on_one_thread(function: Callable[[Item], Result], item: Item) -> Result:
    """Call the function with one thread of OpenCV, NumPy and PyTorch."""
    cv2.setNumThreads(1)  # one thread per process is faster than processes that each use all CPUs
    with one_thread():
        return function(item)


@contextmanager
def one_thread() -> Iterator[None]:
    """Let NumPy's products, and PyTorch's operators if it is imported by now, use one thread; afterwards as before."""
    torch = sys.modules.get("torch")  # not imported here: it takes two seconds, and most callers do not need it
    before = torch.get_num_threads() if torch else 1
    with _blas().limit(limits=1, user_api="blas"):
        if torch:
            torch.set_num_threads(1)
        try:
            yield
        finally:
            if torch:
                torch.set_num_threads(before)


@cache
def _blas() -> ThreadpoolController:
    # Once per process, because the search for libraries takes milliseconds; OpenCV has loaded NumPy's by now.
    return ThreadpoolController()
