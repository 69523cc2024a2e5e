"""Batches of whole images with their objects, for the dense detectors."""

from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torchvision.transforms import v2

from src.assign import plain
from src.augmentation import apply
from src.epoch_batches import EpochBatches
from src.samples import Samples


class DetectionBatches(EpochBatches):
    """Images [B, 3, S, S] with their targets; difficult objects are left out, images without objects are not."""

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
        super().__init__(samples.path, image_ids, batch_size=batch_size, seed=seed, shuffle=shuffle)
        self.samples, self.steps = samples, steps

    def __getitem__(self, index: int) -> dict[str, Any]:
        ids = self.ids(index)
        with self.drawing(index):
            seen = [self._sample(image_id) for image_id in ids]
        return {
            "ids": ids,
            "images": torch.stack([image for image, _ in seen]).contiguous(memory_format=torch.channels_last),
            "targets": [target for _, target in seen],
        }

    def _sample(self, image_id: str) -> tuple[torch.Tensor, Mapping[str, torch.Tensor]]:
        return apply(self.steps, self.samples.image(image_id), plain(self.samples.target(image_id)))
