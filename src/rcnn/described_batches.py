"""Fine-tuning of the fully connected layers alone (SPP-net, He et al. 2014, Sec. 4).

Where the convolutions stand still, a region has the same pool5 in every batch. So each region that the batches draw is
described once, before the training, and the batches hold pool5 in place of crops.

B regions of a batch, D numbers of pool5.
"""

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch.utils.data import Dataset

from src.files.records import Record
from src.rcnn.finetune import RegionBatches
from src.training.places import WHOLE, Share

Extract = Callable[[Mapping[str, Record], Path], None]


class DescribedBatches(Dataset[dict[str, Any]]):
    """The batches of `regions` with pool5 in place of crops. Item i is a whole batch.

    Args:
        regions: the batches; all of them are drawn at once, which takes some 0.1 ms each.
        path: the file of the features, float16 [R, D]. A file that is there is taken, so its name must tell of all that
            decides what it holds.
        extract: writes the features of regions by image (boxes [N, 4] and flipped [N]) to a file.
    """

    def __init__(self, regions: RegionBatches, path: Path, extract: Extract) -> None:
        self.regions, self.path = regions, path.absolute()  # processes may have started in another folder
        self.drawn = [2 * rows + flipped for rows, flipped in map(regions.chosen, range(len(regions)))]
        self.known = np.unique(
            np.concatenate([np.zeros(0, int), *self.drawn])
        )  # a region and its mirrored one, ordered by image
        if not path.exists():
            extract(self._by_image(), self.path)

    def __len__(self) -> int:
        return len(self.regions)

    @property
    def rows(self) -> int:
        """The number of regions in a batch."""
        return self.regions.rows

    def __getitem__(self, index: int) -> dict[str, Any]:
        return self.part(index, WHOLE)

    def part(self, index: int, share: Share) -> dict[str, Any]:
        """Return `pool5` float16 [B, D] and `labels` int64 [B] of one process's share, in the order of `regions`.

        `ids` are all images of the item.
        """
        images = np.unique(self.regions.image_index[self.drawn[index] // 2])
        own = share.rows(len(self.drawn[index]))
        drawn = self.drawn[index][own.start : own.stop]
        features = np.load(self.path, mmap_mode="r")  # by each worker for itself, a millisecond
        return {
            "ids": [self.regions.image_ids[image] for image in images],
            "pool5": torch.from_numpy(features[np.searchsorted(self.known, drawn)]),
            "labels": torch.from_numpy(self.regions.labels[drawn // 2]),
        }

    def _by_image(self) -> dict[str, Record]:
        rows, flipped = self.known // 2, self.known % 2 > 0
        images, firsts = np.unique(self.regions.image_index[rows], return_index=True)
        parts = np.split(np.arange(len(rows)), firsts[1:]) if len(rows) else []
        return {
            self.regions.image_ids[image]: {"boxes": self.regions.boxes[rows[part]], "flipped": flipped[part]}
            for image, part in zip(images, parts, strict=True)
        }
