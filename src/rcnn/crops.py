"""Batches of warped regions in the order of their images, for a network that describes each region once."""

from collections.abc import Mapping

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import Dataset

from src.files.boxed_images import BoxedImages
from src.files.records import Record
from src.rcnn.warp import Warp, warp


class Crops(Dataset[Tensor]):
    """The crops of all regions. Item i is a batch, uint8 [B, S, S, 3], of the regions from i * `batch_size`.

    A batch may hold crops of several images, so every batch but the last is full. Without regions there is no batch.
    """

    def __init__(self, data: BoxedImages, regions: Mapping[str, Record], settings: Warp, *, batch_size: int) -> None:
        self.data, self.regions, self.settings, self.batch_size = data, regions, settings, batch_size
        self.ids = list(regions)
        self.ends = np.cumsum([0, *(len(record["boxes"]) for record in regions.values())])  # from row to row of image i
        self._last: tuple[str, np.ndarray] | None = None  # most batches go on in the image of the batch before

    def __len__(self) -> int:
        return -(-int(self.ends[-1]) // self.batch_size)

    def __getitem__(self, index: int) -> Tensor:
        first = index * self.batch_size
        stop = min(first + self.batch_size, self.ends[-1])
        crops = []
        for image in range(np.searchsorted(self.ends, first, side="right") - 1, len(self.ids)):
            rows = slice(max(first - self.ends[image], 0), stop - self.ends[image])
            crops.append(self._warp(self.ids[image], rows))
            if stop <= self.ends[image + 1]:
                break
        return torch.from_numpy(np.concatenate(crops))

    def _warp(self, image_id: str, rows: slice) -> np.ndarray:
        boxes, flipped = (self.regions[image_id][name][rows] for name in ("boxes", "flipped"))
        size, context = self.settings.size, self.settings.context
        if not len(boxes):  # an image without regions need not be read
            return np.zeros((0, size, size, 3), np.uint8)
        if self._last is None or self._last[0] != image_id:
            self._last = image_id, self.data.image(image_id)
        return warp(self._last[1], boxes, size=size, context=context, flipped=flipped)
