"""Batches of a set of images: the images in each batch, and the random state that it is made with."""

from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Generic, TypeVar

import numpy as np
import torch
from joblib import cpu_count
from torch.utils.data import Dataset, get_worker_info

from src.errors import InputError
from src.files.room import free_memory
from src.training.places import WHOLE, Share

MEMORY = 8 << 30  # bytes of images to keep, at most; not a parameter: it changes the speed, not the batches
SHARE = 3  # one in so many of the free bytes, at most
AT_ONCE = 256  # images that `fill` decodes before it looks at the room


T = TypeVar("T")


class Kept(Generic[T]):
    """A cache of images by id, which `load` makes: decoding takes most of the time.

    Images are kept while there is room: `MEMORY`, and at most a third of the memory that is free when the first one
    comes. Workers of a DataLoader divide the room, since each has a cache of its own beside what it inherits from this
    process when it is forked. So do the processes that train together on one machine.

    Attributes:
        beside: the number of such processes.
    """

    def __init__(self, load: Callable[[str], T], num_bytes: Callable[[T], int]) -> None:
        self._load, self._num_bytes, self.beside = load, num_bytes, 1
        self._room: int | None = None  # None until the first image
        self._images: dict[str, T] = {}

    def __getitem__(self, image_id: str) -> T:
        if image_id in self._images:
            return self._images[image_id]
        image = self._load(image_id)
        self._keep(image_id, image)
        return image

    def fill(self, image_ids: Iterable[str]) -> None:
        """Load the images that fit, on all CPUs: workers that are forked afterwards inherit them, without a copy."""
        missing = [] if self._room == 0 else [image_id for image_id in image_ids if image_id not in self._images]
        with ThreadPoolExecutor(cpu_count()) as threads:  # OpenCV decodes without Python's lock
            for first in range(0, len(missing), AT_ONCE):
                ids = missing[first : first + AT_ONCE]
                if not all([self._keep(*pair) for pair in zip(ids, threads.map(self._load, ids), strict=True)]):
                    return

    def keep_none(self) -> None:
        """Keep no image from now on, as each comes only once."""
        self._room = 0

    def _keep(self, image_id: str, image: T) -> bool:
        if self._room is None:
            self._room = min(MEMORY, free_memory() // SHARE)
        worker = get_worker_info()
        needed = self._num_bytes(image) * self.beside * (1 if worker is None else worker.num_workers)
        if needed > self._room:
            return False
        self._images[image_id], self._room = image, self._room - needed
        return True

    def __getstate__(self) -> dict[str, Any]:
        """Leave the images out of what a spawned worker gets: to send them takes as long as to decode them."""
        return {**self.__dict__, "_images": {}, "_room": 0 if self._room == 0 else None}


class EpochBatches(Dataset[dict[str, Any]]):
    """Batches of images. Item i is a whole batch, and (seed, i) alone determines its images and their augmentation.

    So a batch does not depend on the number of workers or on earlier batches, and a resumed training sees the same
    batches as an uninterrupted one. If `shuffle` is set, the batches go through the images again and again: every image
    comes at most once per pass, each pass has an order of its own, and the images that do not fill its last batch are
    left out; fewer images than `batch_size` are one batch. Otherwise all images come in their order. A subclass keeps
    its images in `_kept`, and defines `part`.

    An epoch is one pass, or `batches_per_epoch` batches, which go on where the epoch before ended.
    """

    _kept: Kept[Any]

    def __init__(
        self,
        path: Path,
        image_ids: Sequence[str],
        *,
        batch_size: int,
        seed: int,
        shuffle: bool,
        batches_per_epoch: int | None = None,
    ) -> None:
        if not image_ids:
            raise InputError(f"{path} has no image to train on or to evaluate: check the splits in params.yaml")
        self.image_ids, self.batch_size, self.seed, self.shuffle = list(image_ids), batch_size, seed, shuffle
        whole = max(1, len(self.image_ids) // batch_size)
        self.per_pass = whole if shuffle else -(-len(self.image_ids) // batch_size)
        self.per_epoch = batches_per_epoch or self.per_pass

    def __getitem__(self, index: int) -> dict[str, Any]:
        return self.part(index, WHOLE)

    def part(self, index: int, share: Share) -> dict[str, Any]:
        """Return the rows of one process of item `index`, with the `ids` of the whole batch.

        Its images are the same as in the whole batch: the random numbers of the images before them are drawn, too.
        """
        raise NotImplementedError

    @property
    def rows(self) -> int:
        """The number of images in a batch of the training."""
        return len(self.ids(0))

    def divide(self, beside: int) -> None:
        """Divide the memory for images among the processes that train together on this machine."""
        self._kept.beside = beside

    def fill(self) -> None:
        """Load the images into memory before workers are forked."""
        self._kept.fill(self.image_ids)

    def keep_none(self) -> None:
        """Keep no image in memory, as each comes only once."""
        self._kept.keep_none()

    def epoch(self, epoch: int) -> range:
        """Return the item numbers of an epoch; epochs count from 0."""
        return range(epoch * self.per_epoch, (epoch + 1) * self.per_epoch)

    def ids(self, index: int) -> list[str]:
        """Return the image ids of item `index`."""
        number, batch = divmod(index, self.per_pass)
        order = np.arange(len(self.image_ids))
        if self.shuffle:
            order = np.random.default_rng([self.seed, number]).permutation(order)
        return [self.image_ids[row] for row in order[batch * self.batch_size : (batch + 1) * self.batch_size]]

    @contextmanager
    def drawing(self, index: int) -> Iterator[None]:
        """Seed PyTorch's random numbers on the CPU for item `index` within the context, and restore them after it.

        `torch.manual_seed` would seed the GPUs as well: a batch that the training process makes would then change the
        numbers that the network draws on a GPU, such as dropout's, and a batch of a worker would not.
        """
        state = torch.get_rng_state()
        torch.default_generator.manual_seed(int(np.random.default_rng([self.seed, index]).integers(2**62)))
        try:
            yield
        finally:
            torch.set_rng_state(state)
