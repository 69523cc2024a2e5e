"""Batches of a set of images: which images are in which, and from which random state each is made."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Generic, TypeVar

import numpy as np
import torch
from torch.utils.data import Dataset, get_worker_info

from src.errors import InputError

MEMORY = 1 << 30  # bytes of images that are kept; no parameter: it changes the speed, not the batches


T = TypeVar("T")


class Kept(Generic[T]):
    """Images by id, as `load` makes them; kept while there is room, for decoding takes most of the time.

    A DataLoader's worker keeps none: it lives for one epoch, in which each image comes once.
    """

    def __init__(self, load: Callable[[str], T], num_bytes: Callable[[T], int]) -> None:
        self._load, self._num_bytes, self._room = load, num_bytes, MEMORY
        self._images: dict[str, T] = {}

    def __getitem__(self, image_id: str) -> T:
        if image_id in self._images:
            return self._images[image_id]
        image = self._load(image_id)
        needed = self._num_bytes(image)
        if needed <= self._room and get_worker_info() is None:
            self._images[image_id], self._room = image, self._room - needed
        return image


class EpochBatches(Dataset[dict[str, Any]]):
    """Item i is a whole batch; (seed, i) alone decides what is in it and how it is augmented.

    So a batch does not depend on the number of workers or on the batches before it, and a resumed training sees what an
    uninterrupted one would have seen. Shuffled, every image comes once an epoch, but for the rest that fills no batch
    (fewer images than a batch are one); otherwise all come in their order.
    """

    def __init__(self, path: Path, image_ids: Sequence[str], *, batch_size: int, seed: int, shuffle: bool) -> None:
        if not image_ids:
            raise InputError(f"{path} has no image to train on or to look at: check the splits in params.yaml")
        self.image_ids, self.batch_size, self.seed, self.shuffle = list(image_ids), batch_size, seed, shuffle
        whole = max(1, len(self.image_ids) // batch_size)
        self.per_epoch = whole if shuffle else -(-len(self.image_ids) // batch_size)

    def epoch(self, epoch: int) -> range:
        """The items of an epoch, from 0."""
        return range(epoch * self.per_epoch, (epoch + 1) * self.per_epoch)

    def ids(self, index: int) -> list[str]:
        """Image ids of item `index`."""
        epoch, batch = divmod(index, self.per_epoch)
        order = np.arange(len(self.image_ids))
        if self.shuffle:
            order = np.random.default_rng([self.seed, epoch]).permutation(order)
        return [self.image_ids[row] for row in order[batch * self.batch_size : (batch + 1) * self.batch_size]]

    @contextmanager
    def drawing(self, index: int) -> Iterator[None]:
        """Within it PyTorch's random numbers are those of item `index`; behind it they go on as if nothing had been."""
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(int(np.random.default_rng([self.seed, index]).integers(2**62)))
            yield
