"""Time a repeated step on any device: warm-up, waiting for the device, median and spread.

A GPU computes while Python goes on, so the clock is read only after the device has finished what it was given.
"""

import time
from collections.abc import Callable
from typing import NamedTuple

import numpy as np
import torch

WARM_UP = 3  # the first steps allocate memory, choose algorithms and compile kernels


class Timing(NamedTuple):
    """Seconds of a step: the median, and the quartiles beside it."""

    median: float
    lower: float  # quartile
    upper: float
    count: int

    def __str__(self) -> str:
        """Return the figures in milliseconds, with the quartiles in brackets."""
        return f"{self.median * 1e3:.1f} ms ({self.lower * 1e3:.1f} to {self.upper * 1e3:.1f}, {self.count} steps)"


class Timer:
    """Measures steps one by one, and leaves out the first ones.

    Args:
        device: of the computation; on CUDA each reading of the clock waits until the device has finished.
        warm_up: number of first steps that are left out.
    """

    def __init__(self, device: torch.device | str = "cpu", warm_up: int = WARM_UP) -> None:
        self.device, self.warm_up = torch.device(device), warm_up
        self.seconds: list[float] = []

    def now(self) -> float:
        """Return the clock in seconds, read when the device has nothing left to do."""
        if self.device.type == "cuda":
            torch.cuda.synchronize(self.device)
        return time.perf_counter()

    def step(self, work: Callable[[], object]) -> None:
        """Do the work once and note its seconds."""
        start = self.now()
        work()
        self.seconds.append(self.now() - start)

    def timing(self) -> Timing:
        """Return the figures of all steps after the warm-up; a `ValueError` if there is none."""
        counted = self.seconds[self.warm_up :]
        if not counted:
            raise ValueError(f"{len(self.seconds)} steps leave none after a warm-up of {self.warm_up}")
        lower, median, upper = np.percentile(counted, [25, 50, 75])
        return Timing(float(median), float(lower), float(upper), len(counted))


def timed(
    work: Callable[[], object], steps: int, *, device: torch.device | str = "cpu", warm_up: int = WARM_UP
) -> Timing:
    """Do the work `warm_up + steps` times, `steps` at least 1, and return the figures of the last `steps`."""
    timer = Timer(device, warm_up)
    for _ in range(warm_up + steps):
        timer.step(work)
    return timer.timing()
