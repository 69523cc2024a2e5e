"""Two threads in place of two processes that train together, for functions that exchange numbers."""

import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from types import SimpleNamespace
from typing import TypeVar

import pytest
import torch
from torch import Tensor

from src.training import processes

SECONDS = 60  # longest wait for the other thread
T = TypeVar("T")


def both(monkeypatch: pytest.MonkeyPatch, work: Callable[[int], T]) -> list[T]:
    """Call `work(rank)` in two threads within `together`, and return both results.

    The generator of random numbers is one for both, so `work` must not draw.
    """
    here, barrier, sent = threading.local(), threading.Barrier(2), [torch.zeros(()), torch.zeros(())]

    def exchanged(values: Tensor) -> list[Tensor]:
        sent[here.rank] = values.clone()
        barrier.wait(SECONDS)
        found = list(sent)
        barrier.wait(SECONDS)
        return found

    def all_reduce(values: Tensor) -> None:
        values.copy_(torch.stack(exchanged(values)).sum(0))

    def all_gather(found: list[Tensor], own: Tensor) -> None:
        for place, values in zip(found, exchanged(own), strict=True):
            place.copy_(values)

    def one(rank: int) -> T:
        here.rank = rank
        try:
            return work(rank)
        except BaseException:
            barrier.abort()
            raise

    fake = SimpleNamespace(
        all_reduce=all_reduce, all_gather=all_gather, get_rank=lambda: here.rank, get_world_size=lambda: 2
    )
    with monkeypatch.context() as patch, ThreadPoolExecutor(2) as threads:
        patch.setattr(processes, "dist", fake)
        with processes.together(torch.device("cpu")):
            return list(threads.map(one, range(2)))
