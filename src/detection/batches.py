"""Batches of whole images with their objects, for the dense detectors."""

from collections.abc import Sequence
from typing import Any

import torch

from src.boxes.matching import without_difficult
from src.detection.augmentation import Augment, Pair, fixed_steps, pair, plain_tensors, random_steps
from src.detection.sizes import Size, stacked
from src.detection.targets import padded
from src.files.boxed_images import BoxedImages
from src.networks.imagenet import normalise
from src.training.epoch_batches import EpochBatches, Kept


class DetectionBatches(EpochBatches):
    """Images with their targets; difficult objects are left out, images without objects are not.

    A batch has `ids`, `images` [B, 3, S, S], or [B, 3, H, W] with padding if `size` has a `longest`, and `targets`:
    `boxes` [B, M, 4] and `labels` [B, M], padded (`src.detection.targets`), and `sizes` int64 [B, 2], the height and
    width of each image without padding. The images are shuffled if there is `augment`.
    """

    def __init__(
        self,
        data: BoxedImages,
        image_ids: Sequence[str],
        size: Size,
        augment: Augment | None = None,
        *,
        batch_size: int,
        seed: int = 0,
        batches_per_epoch: int | None = None,
    ) -> None:
        super().__init__(
            data.path,
            image_ids,
            batch_size=batch_size,
            seed=seed,
            shuffle=augment is not None,
            batches_per_epoch=batches_per_epoch,
        )
        self.data, self.size = data, size
        self.fixed, self.random, self.normalise = fixed_steps(size, augment), random_steps(size, augment), normalise()
        self._kept = Kept(self._load, _num_bytes)

    def __getitem__(self, index: int) -> dict[str, Any]:
        ids = self.ids(index)
        with self.drawing(index):
            pairs = [plain_tensors(self.random(*self._kept[image_id])) for image_id in ids]
        images = stacked([self.normalise(image) for image, _ in pairs], self.size)
        sizes = torch.tensor([image.shape[1:] for image, _ in pairs])
        return {
            "ids": ids,
            "images": images.contiguous(memory_format=torch.channels_last),
            "targets": {**padded([target for _, target in pairs]), "sizes": sizes},
        }

    def _load(self, image_id: str) -> Pair:
        resized: Pair = self.fixed(*pair(self.data.image(image_id), without_difficult(self.data.target(image_id))))
        return resized


def _num_bytes(sample: Pair) -> int:
    """Return the bytes of an image with its objects; a function, because a spawned worker cannot unpickle a lambda."""
    return sample[0].numel()
