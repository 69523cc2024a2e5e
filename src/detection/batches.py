"""Batches of whole images with their objects, for the dense detectors."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import torch
from torch.nn.utils.rnn import pad_sequence

from src.boxes.matching import without_difficult
from src.detection.augmentation import (
    PROPOSAL,
    Augment,
    Pair,
    fixed_steps,
    pair,
    passed_over,
    plain_tensors,
    random_steps,
)
from src.detection.sizes import Size, stacked
from src.detection.targets import padded
from src.files.boxed_images import BoxedImages
from src.networks.imagenet import normalise
from src.training.epoch_batches import EpochBatches, Kept
from src.training.places import Share


class DetectionBatches(EpochBatches):
    """Images with their targets; difficult objects are left out, images without objects are not.

    A batch has `ids`, `images` [B, 3, S, S], or [B, 3, H, W] with padding if `size` has a `longest`, and `targets`:
    `boxes` [B, M, 4] and `labels` [B, M], padded (`src.detection.targets`), and `sizes` int64 [B, 2], the height and
    width of each image without padding. With `proposals`, boxes [N, 4] by image id, `targets` also has `proposals`
    [B, P, 4]: those of each image in their order, augmented as its objects, and zeros as padding; P may be 0. The
    images are shuffled if there is `augment`.
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
        proposals: Mapping[str, np.ndarray] | None = None,
    ) -> None:
        super().__init__(
            data.path,
            image_ids,
            batch_size=batch_size,
            seed=seed,
            shuffle=augment is not None,
            batches_per_epoch=batches_per_epoch,
        )
        self.data, self.size, self.augment, self.proposals = data, size, augment, proposals
        self.fixed, self.random, self.normalise = fixed_steps(size, augment), random_steps(size, augment), normalise()
        self._kept = Kept(self._load, _num_bytes)

    def part(self, index: int, share: Share) -> dict[str, Any]:
        """Return the rows of one process of item `index`, with the `ids` of the whole batch, and padded as that."""
        ids = self.ids(index)
        own = share.rows(len(ids))
        pairs, others = [], []
        with self.drawing(index):
            for row, image_id in enumerate(ids):
                if row in own:
                    pairs.append(plain_tensors(self.random(*self._kept[image_id])))
                else:
                    others.append(self._passed_over(image_id))
        images = stacked([self.normalise(image) for image, _ in pairs], self.size, others)
        sizes = torch.tensor([image.shape[1:] for image, _ in pairs])
        targets = [target for _, target in pairs]
        given: dict[str, Any] = {}
        if self.proposals is not None:
            apart = [_apart(target) for target in targets]
            targets = [objects for objects, _ in apart]
            given = {"proposals": pad_sequence([boxes for _, boxes in apart], batch_first=True)}
        return {
            "ids": ids,
            "images": images.contiguous(memory_format=torch.channels_last),
            "targets": {**padded(targets), "sizes": sizes, **given},
        }

    def _passed_over(self, image_id: str) -> tuple[int, int]:
        """Draw the numbers of an image without decoding it; return its (height, width) in the input."""
        boxes = torch.from_numpy(without_difficult(self.data.target(image_id))["boxes"])
        return passed_over(self.size, self.augment, self.data.size(image_id), boxes)

    def _load(self, image_id: str) -> Pair:
        target = without_difficult(self.data.target(image_id))
        if self.proposals is not None:
            target = _together(target, self.proposals[image_id])
        resized: Pair = self.fixed(*pair(self.data.image(image_id), target))
        return resized


def _together(target: Mapping[str, np.ndarray], proposals: np.ndarray) -> dict[str, np.ndarray]:
    """Put proposals after the objects, so that every step of the augmentation moves both."""
    boxes, labels = np.asarray(proposals, target["boxes"].dtype).reshape(-1, 4), target["labels"]
    return {
        "boxes": np.concatenate([target["boxes"], boxes]),
        "labels": np.concatenate([labels, np.full(len(boxes), PROPOSAL, labels.dtype)]),
    }


def _apart(target: Mapping[str, torch.Tensor]) -> tuple[dict[str, torch.Tensor], torch.Tensor]:
    """Return the objects, and the boxes of the proposals [N, 4]."""
    proposal = target["labels"] == PROPOSAL
    return {name: value[~proposal] for name, value in target.items()}, target["boxes"][proposal]


def _num_bytes(sample: Pair) -> int:
    """Return the bytes of an image with its objects; a function, because a spawned worker cannot unpickle a lambda."""
    return sample[0].numel()
