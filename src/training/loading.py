"""A loader of batches whose worker processes live as long as the training, and share the images that fit into memory.

A process that starts anew for each epoch would decode every image again in each epoch.
"""

import multiprocessing
import signal
from collections.abc import Iterator, Sequence
from typing import Any, Protocol

import torch
from lightning_fabric.utilities import move_data_to_device
from torch.utils.data import DataLoader, Dataset, Sampler

from src.training.places import WHOLE, Share

PREFETCH = 3  # batches that each worker makes ahead; not a parameter: it changes the speed, not the batches


class Batches(Protocol):
    """The batches of one epoch, such as a DataLoader or a list."""

    def __len__(self) -> int: ...  # noqa: D105
    def __iter__(self) -> Iterator[Any]: ...  # noqa: D105


class Loader:
    """Loads the items of a data set whose items are whole batches.

    The workers start with the first batch, and end when nobody has the loader any more. If they are forked, the data
    set's `fill()` (if it has one) comes before: its images are then in the memory of this process, which the workers
    read without a copy. Spawned workers have a memory of their own.

    The loader draws no random number from PyTorch's default generator, unlike a DataLoader. So the numbers that the
    network draws do not depend on when the workers started, as a resumed training starts them in a later epoch.

    Args:
        data: the batches.
        workers: the number of processes that make batches; 0: this process makes them itself.
        device: the device to which the batches go. For a GPU they are put into page-locked memory, from which they are
            copied while the GPU computes.
        share: the rows of each item to load, by `data.part`; the whole item is `data[index]`.
    """

    def __init__(
        self, data: Dataset[Any], workers: int = 0, device: torch.device | None = None, share: Share = WHOLE
    ) -> None:
        self.data, self.workers, self.device = data, workers, device or torch.device("cpu")
        self._source: Dataset[Any] = data if share.world == 1 else _Parts(data, share)
        self._items = _Items()
        self._loader: DataLoader[Any] | None = None

    def load(self, items: Sequence[int]) -> Batches:
        """Return the items as the batches of an epoch; use them before the next call, which replaces them."""
        self._items.chosen = items
        if self._loader is None:
            self._loader = self._start(min(self.workers, len(items)))
        return self._loader

    def on_device(self, items: Sequence[int]) -> Iterator[Any]:
        """Yield items on the device."""
        for batch in self.load(items):
            yield move_data_to_device(batch, self.device)

    def _start(self, workers: int) -> DataLoader[Any]:
        fill = getattr(self.data, "fill", None)
        if workers and fill is not None and multiprocessing.get_start_method() == "fork":
            fill()
        if self.device.type == "cuda" and self.device.index is not None:
            torch.cuda.set_device(self.device)  # page-locked memory belongs to the present GPU, and would open GPU 0
        return DataLoader(
            self._source,
            batch_size=None,
            sampler=self._items,
            num_workers=workers,
            worker_init_fn=_end_quietly if workers else None,
            persistent_workers=workers > 0,
            prefetch_factor=PREFETCH if workers else None,
            pin_memory=self.device.type == "cuda",
            generator=torch.Generator(),
        )


class _Parts(Dataset[Any]):
    """The rows of one process of each item."""

    def __init__(self, data: Any, share: Share) -> None:
        self._data, self._share = data, share

    def __getitem__(self, index: int) -> Any:
        return self._data.part(index, self._share)


class _Items(Sampler[int]):
    """The items of the present epoch."""

    chosen: Sequence[int] = ()

    def __init__(self) -> None:
        """Begin without items."""

    def __len__(self) -> int:
        return len(self.chosen)

    def __iter__(self) -> Iterator[int]:
        return iter(self.chosen)


def _end_quietly(_: int) -> None:
    """Let SIGTERM end a worker as Ctrl-C does: with PyTorch's handler its temporary folder would stay."""
    signal.signal(signal.SIGTERM, signal.default_int_handler)
