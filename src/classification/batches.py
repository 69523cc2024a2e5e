"""Batches of labelled images, for the classifiers."""

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from src.classification.inputs import fixed_steps, mix, random_steps
from src.classification.params import Augment, Input
from src.files.labelled_images import LabelledImages
from src.networks.imagenet import normalise
from src.training.epoch_batches import EpochBatches, Kept


class LabelledBatches(EpochBatches):
    """Images [B, 3, H, W] with their labels [B], or with class shares [B, C] if images are mixed.

    The images are shuffled if there is `augment`.
    """

    def __init__(
        self,
        data: LabelledImages,
        image_ids: Sequence[str],
        inputs: Input,
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
        self.data = data
        self.fixed, self.random = fixed_steps(inputs, augment), random_steps(inputs, augment)
        self.normalise, self.mix = normalise(inputs.mean, inputs.std), mix(augment, len(data.classes))
        self._kept = Kept(self._load, Tensor.numel)

    def __getitem__(self, index: int) -> dict[str, Any]:
        ids = self.ids(index)
        labels = torch.tensor([self.data.label(image_id) for image_id in ids])
        with self.drawing(index):
            images = self.normalise(torch.stack([self.random(self._kept[image_id]) for image_id in ids]))
            if self.mix is not None:
                images, labels = self.mix(images, labels)
        return {"ids": ids, "images": images.contiguous(memory_format=torch.channels_last), "labels": labels}

    def _load(self, image_id: str) -> Tensor:
        """Decode an image and apply the fixed steps: RGB bytes [3, H, W]."""
        image: Tensor = self.fixed(torch.from_numpy(self.data.image(image_id)).permute(2, 0, 1))
        return image
