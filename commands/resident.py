"""The memory that a program's processes hold, measured again and again while it runs."""

import threading
import time
from types import TracebackType
from typing import Self

EVERY = 1.0  # seconds between two measurements: one takes some 20 ms, and a shorter peak may be missed


class Resident:
    """Measure all processes that a process has started, in a thread, between `with` and its end.

    A page of memory that several processes share, such as the code of PyTorch in forked workers, counts once (the
    proportional set size of Linux). Where the system does not tell it, such pages count once for each process.

    Attributes:
        samples: times on `time.monotonic`, and bytes.
    """

    def __init__(self, pid: int, every: float = EVERY) -> None:
        """Prepare to measure the children of the process `pid`, and theirs; the process itself does not count."""
        self.pid, self.every = pid, every
        self.samples: list[tuple[float, int]] = []
        self._end = threading.Event()
        self._thread = threading.Thread(target=self._measure, daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._end.set()
        self._thread.join()

    def peak(self, begin: float, end: float) -> int:
        """Return the most bytes between two times; 0 if nothing was measured between them."""
        return max((size for when, size in self.samples if begin <= when <= end), default=0)

    def _measure(self) -> None:
        while not self._end.wait(self.every):
            self.samples.append((time.monotonic(), held(self.pid)))


def held(pid: int) -> int:
    """Return the bytes that the descendants of a process hold now; 0 if it has none, or is gone."""
    import psutil  # here, not above: the line of a stage does not wait for it

    size = 0
    try:
        for process in psutil.Process(pid).children(recursive=True):
            try:
                memory = process.memory_full_info()
            except psutil.Error:  # it has ended, or belongs to someone else
                continue
            size += getattr(memory, "pss", memory.rss)
    except psutil.NoSuchProcess:
        pass
    return size
