"""Batches of whole images with their objects, for the dense detectors."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import torch
from torch.utils.data import Dataset
from torchvision.transforms import v2

from src.assign import plain
from src.augmentation import apply
from src.errors import InputError
from src.samples import Samples


class DetectionBatches(Dataset[dict[str, Any]]):
    """Item i is a whole batch; (seed, i) alone decides what is in it and how it is augmented.

    So a batch does not depend on the number of workers or on the batches before it, and a resumed training sees what an
    uninterrupted one would have seen. Every image comes once an epoch, but for the rest that fills no batch; difficult
    objects are left out. Images without objects are seen too.
    """

    def __init__(
        self,
        samples: Samples,
        image_ids: Sequence[str],
        steps: v2.Compose,
        *,
        batch_size: int,
        seed: int,
        shuffle: bool,
    ) -> None:
        if not image_ids:
            raise InputError(f"{samples.path} has no image to train on: check splits in params.yaml")
        self.samples, self.image_ids, self.steps = samples, list(image_ids), steps
        self.batch_size, self.seed, self.shuffle = batch_size, seed, shuffle
        self.per_epoch = max(1, len(self.image_ids) // batch_size) if shuffle else -(-len(self.image_ids) // batch_size)

    def epoch(self, epoch: int) -> range:
        """The items of an epoch, from 0."""
        return range(epoch * self.per_epoch, (epoch + 1) * self.per_epoch)

    def __getitem__(self, index: int) -> dict[str, Any]:
        epoch, batch = divmod(index, self.per_epoch)
        order = np.arange(len(self.image_ids))
        if self.shuffle:
            order = np.random.default_rng([self.seed, epoch]).permutation(order)
        ids = [self.image_ids[row] for row in order[batch * self.batch_size : (batch + 1) * self.batch_size]]
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(int(np.random.default_rng([self.seed, index]).integers(2**62)))
            seen = [self._sample(image_id) for image_id in ids]
        return {
            "ids": ids,
            "images": torch.stack([image for image, _ in seen]).contiguous(memory_format=torch.channels_last),
            "targets": [target for _, target in seen],
        }

    def _sample(self, image_id: str) -> tuple[torch.Tensor, Mapping[str, torch.Tensor]]:
        return apply(self.steps, self.samples.image(image_id), plain(self.samples.target(image_id)))
