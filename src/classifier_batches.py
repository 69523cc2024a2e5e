"""Batches of labelled images, for the classifiers."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import Dataset

from src.classifier_inputs import drawn, fixed, mix, normalise
from src.classifier_params import Augment, Input
from src.errors import InputError
from src.labelled import LabelledImages

MEMORY = 1 << 30  # bytes of decoded images that are kept; no parameter: it changes the speed, not the batches


class LabelledBatches(Dataset[dict[str, Any]]):
    """Item i is a whole batch; (seed, i) alone decides what is in it and how it is augmented.

    So a batch does not depend on the number of workers or on the batches before it, and a resumed training sees what an
    uninterrupted one would have seen. With `augment` the images are shuffled, and each comes once an epoch but for the
    rest that fills no batch; without, all come in their order.
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
        if not image_ids:
            raise InputError(f"{data.path} has no image to train on or to look at: check its splits in params.yaml")
        self.data, self.image_ids, self.batch_size, self.seed = data, list(image_ids), batch_size, seed
        self.shuffle = augment is not None
        self.fixed, self.drawn = fixed(inputs, augment), drawn(inputs, augment)
        self.normalise, self.mix = normalise(inputs), mix(augment, len(data.classes))
        whole = max(1, len(self.image_ids) // batch_size)
        self.per_epoch = whole if self.shuffle else -(-len(self.image_ids) // batch_size)
        self._kept: dict[str, Tensor] = {}
        self._room = MEMORY

    def epoch(self, epoch: int) -> range:
        """The items of an epoch, from 0."""
        return range(epoch * self.per_epoch, (epoch + 1) * self.per_epoch)

    def __getitem__(self, index: int) -> dict[str, Any]:
        epoch, batch = divmod(index, self.per_epoch)
        order = np.arange(len(self.image_ids))
        if self.shuffle:
            order = np.random.default_rng([self.seed, epoch]).permutation(order)
        ids = [self.image_ids[row] for row in order[batch * self.batch_size : (batch + 1) * self.batch_size]]
        labels = torch.tensor([self.data.label(image_id) for image_id in ids])
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(int(np.random.default_rng([self.seed, index]).integers(2**62)))
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
