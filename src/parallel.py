"""The same function over many items, in several processes, results in order."""

from collections.abc import Callable, Sequence
from typing import TypeVar

import cv2
from joblib import Parallel, delayed
from tqdm import tqdm

Item = TypeVar("Item")
Result = TypeVar("Result")


def parallel_map(function: Callable[[Item], Result], items: Sequence[Item], jobs: int, label: str) -> list[Result]:
    """`[function(item) for item in items]` in `jobs` processes, with a progress bar.

    Send ids rather than images: what crosses to a worker costs more than to read it there.
    """
    bar = tqdm(items, desc=label, mininterval=1.0)  # counts what is handed out, a few items ahead of what is done
    return list(Parallel(n_jobs=jobs)(delayed(_alone)(function, item) for item in bar))


def _alone(function: Callable[[Item], Result], item: Item) -> Result:
    cv2.setNumThreads(1)  # one process a CPU is faster than all threads of all processes on all CPUs
    return function(item)
