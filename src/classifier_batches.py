"""Batches of labelled images, for the classifiers."""

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from src.classifier_inputs import drawn, fixed, mix, normalise
from src.classifier_params import Augment, Input
from src.epoch_batches import EpochBatches
from src.labelled import LabelledImages

MEMORY = 1 << 30  # bytes of decoded images that are kept; no parameter: it changes the speed, not the batches


class LabelledBatches(EpochBatches):
    """Images [B, 3, H, W] with their labels [B], or their shares of the classes [B, C] where images are mixed.

    Shuffled where there is `augment`.
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
    ) -> None:
        super().__init__(data.path, image_ids, batch_size=batch_size, seed=seed, shuffle=augment is not None)
        self.data = data
        self.fixed, self.drawn = fixed(inputs, augment), drawn(inputs, augment)
        self.normalise, self.mix = normalise(inputs), mix(augment, len(data.classes))
        self._kept: dict[str, Tensor] = {}
        self._room = MEMORY

    def __getitem__(self, index: int) -> dict[str, Any]:
        ids = self.ids(index)
        labels = torch.tensor([self.data.label(image_id) for image_id in ids])
        with self.drawing(index):
            images = self.normalise(torch.stack([self.drawn(self._image(image_id)) for image_id in ids]))
            if self.mix is not None:
                images, labels = self.mix(images, labels)
        return {"ids": ids, "images": images.contiguous(memory_format=torch.channels_last), "labels": labels}

    def _image(self, image_id: str) -> Tensor:
        """RGB bytes [3, H, W] behind the fixed steps; kept while there is room, for decoding takes most of the time."""
        if image_id in self._kept:
            return self._kept[image_id]
        image: Tensor = self.fixed(torch.from_numpy(self.data.image(image_id)).permute(2, 0, 1))
        if image.numel() <= self._room:
            self._kept[image_id], self._room = image, self._room - image.numel()
        return image
