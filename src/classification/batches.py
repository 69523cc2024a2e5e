"""Batches of labelled images, for the classifiers."""

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor
from torchvision.transforms import v2

from src.classification.inputs import fixed_steps, mix, pass_over, random_steps
from src.classification.params import Augment, Input
from src.files.labelled_images import LabelledImages
from src.networks.imagenet import normalise
from src.training.epoch_batches import EpochBatches, Kept
from src.training.places import Share


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
        self.data, self.inputs = data, inputs
        self.fixed, self.random = fixed_steps(inputs, augment), random_steps(inputs, augment)
        self.normalise, self.mix = normalise(inputs.mean, inputs.std), mix(augment, len(data.classes))
        self._kept = Kept(self._load, Tensor.numel)

    def part(self, index: int, share: Share) -> dict[str, Any]:
        """Return the rows of one process of item `index`, with the `ids` of the whole batch.

        An image is mixed with the one before it, the first one with the last. So with `mix`, the image before the own
        ones is made, too.
        """
        ids = self.ids(index)
        own = share.rows(len(ids))
        before = [(own[0] - 1) % len(ids)] if self.mix is not None and len(own) < len(ids) else []
        rows = [*before, *own]
        made: dict[int, Tensor] = {}
        with self.drawing(index):
            for row, image_id in enumerate(ids):
                if row in rows:
                    made[row] = self.random(self._kept[image_id])
                else:
                    pass_over(self.random, self._shape(image_id))
            images = self.normalise(torch.stack([made[row] for row in rows]))
            labels = torch.tensor([self.data.label(ids[row]) for row in rows])
            if self.mix is not None:
                images, labels = self.mix(images, labels)
        images, labels = images[len(before) :], labels[len(before) :]
        return {"ids": ids, "images": images.contiguous(memory_format=torch.channels_last), "labels": labels}

    def _shape(self, image_id: str) -> tuple[int, int]:
        """Return (height, width) of an image after the fixed steps; a random crop needs it, so the image is decoded."""
        if isinstance(self.fixed, v2.Identity):
            height, width = self._kept[image_id].shape[-2:]
            return height, width
        height, width = self.inputs.size
        return height, width

    def _load(self, image_id: str) -> Tensor:
        """Decode an image and apply the fixed steps: RGB bytes [3, H, W]."""
        image: Tensor = self.fixed(torch.from_numpy(self.data.image(image_id)).permute(2, 0, 1))
        return image
