"""A function applied to many items in several processes, with the results in order."""

from collections.abc import Callable, Sequence
from typing import TypeVar

import cv2
from joblib import Parallel, delayed
from tqdm import tqdm

Item = TypeVar("Item")
Result = TypeVar("Result")


def parallel_map(function: Callable[[Item], Result], items: Sequence[Item], jobs: int, label: str) -> list[Result]:
    """Compute `[function(item) for item in items]` in `jobs` processes, with a progress bar.

    Send ids rather than images: to send an image to a process takes longer than to read it there.
    """
    bar = tqdm(items, desc=label, mininterval=1.0)  # counts items when they start, not when they are done
    return list(Parallel(n_jobs=jobs)(delayed(_on_one_thread)(function, item) for item in bar))


def _on_one_thread(function: Callable[[Item], Result], item: Item) -> Result:
    cv2.setNumThreads(1)  # one thread per process is faster than processes that each use all CPUs
    return function(item)
