"""Fine-tuning on warped regions (R-CNN Sec. 2.3): labels of regions, and batches of 32 objects and 96 backgrounds."""

from collections.abc import Mapping, Sequence
from operator import attrgetter
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.utils.data import Dataset

from src.boxes.matching import BACKGROUND, IGNORED, best_match, is_background, near_difficult, without_difficult
from src.boxes.target import Target
from src.errors import InputError
from src.files.boxed_images import BoxedImages
from src.rcnn.finetune_settings import Finetune
from src.rcnn.warp import Warp, normalize, warp
from src.training.epoch_batches import Kept
from src.training.places import WHOLE, Share
from src.training.processes import weight


def label_regions(boxes: np.ndarray, target: Target, rules: Finetune) -> np.ndarray:
    """Label regions with their class, 0 for background, or -1 for ignored.

    A region gets the class of the object that it overlaps most, if that IoU is `fg_iou_thresh` or more. Otherwise it is
    background by the rule of `is_background`, unless it covers a difficult object. All other regions are ignored.

    Args:
        boxes: [N, 4].
        target: the image's target; without objects all regions are background.
        rules: the section `finetune`.

    Returns:
        labels [N].
    """
    clear = without_difficult(target)
    best, matched = best_match(boxes, clear["boxes"])
    background = is_background(
        boxes,
        best,
        clear["boxes"],
        iou_thresh=rules.fg_iou_thresh,
        iou_min=rules.bg_iou_min,
        iou_zero=rules.bg_iou_zero,
        min_area=rules.bg_min_area,
    )
    background &= ~near_difficult(boxes, target, rules.fg_iou_thresh)
    labels = np.where(background, BACKGROUND, IGNORED)
    objects = (matched >= 0) & (best >= rules.fg_iou_thresh)
    labels[objects] = clear["labels"][matched[objects]]
    return labels


class RegionBatches(Dataset[dict[str, Any]]):
    """Batches of warped regions. Item i is a whole batch, and (seed, i) alone determines it.

    So a batch does not depend on the number of workers or on earlier batches, and a resumed training sees the same
    batches as an uninterrupted one. A region may come in several batches, but only once in a batch.
    """

    def __init__(
        self,
        data: BoxedImages,
        image_ids: Sequence[str],
        proposals: Mapping[str, Mapping[str, np.ndarray]],
        rules: Finetune,
        settings: Warp,
        *,
        batch_size: int,
        num_batches: int,
        seed: int,
        flip: bool,
    ) -> None:
        self.data, self.batch_size, self.num_batches = data, batch_size, num_batches
        self.seed, self.flip, self.fg_fraction = seed, flip, rules.fg_fraction
        self.settings = settings
        self._kept = Kept(data.image, attrgetter("nbytes"))
        targets = {image_id: data.target(image_id) for image_id in image_ids}
        if rules.only_images_with_objects:
            image_ids = [image_id for image_id in image_ids if len(without_difficult(targets[image_id])["boxes"])]
        self.image_ids = list(image_ids)
        boxes = []
        for image_id in self.image_ids:
            gt_boxes = without_difficult(targets[image_id])["boxes"][: None if rules.include_gt else 0]
            boxes.append(np.concatenate([gt_boxes, proposals[image_id]["boxes"]]))
        labels = [
            label_regions(image_boxes, targets[image_id], rules)
            for image_id, image_boxes in zip(self.image_ids, boxes, strict=True)
        ]
        self.image_index = np.repeat(np.arange(len(boxes)), [len(image_boxes) for image_boxes in boxes])
        self.boxes = np.concatenate([np.zeros((0, 4), np.float32), *boxes])
        self.labels = np.concatenate([np.zeros(0, int), *labels])
        self.objects = np.flatnonzero(self.labels > BACKGROUND)
        self.backgrounds = np.flatnonzero(self.labels == BACKGROUND)
        if not len(self.objects) or not len(self.backgrounds):
            raise InputError(
                f"{len(self.image_ids)} images of {data.path} hold {len(self.objects)} object regions and "
                f"{len(self.backgrounds)} background regions, and training needs both: check splits, data.voc.classes, "
                "finetune.fg_iou_thresh and selective_search.min_side in params.yaml"
            )

    def __len__(self) -> int:
        return self.num_batches

    def fill(self) -> None:
        """Decode the images that fit into memory, so that forked workers inherit them."""
        self._kept.fill(self.image_ids)

    @property
    def rows(self) -> int:
        """The number of regions in a batch."""
        return len(self.chosen(0)[0])

    def divide(self, beside: int) -> None:
        """Divide the memory for images among the processes that train together on this machine."""
        self._kept.beside = beside

    def __getitem__(self, index: int) -> dict[str, Any]:
        return self.part(index, WHOLE)

    def part(self, index: int, share: Share) -> dict[str, Any]:
        """Return `crops` uint8 [B, S, S, 3], ordered by image, and `labels` int64 [B] of one process's share.

        These are two tensors, because a worker shares each tensor of a batch by an open file. `ids` are all images of
        the item.
        """
        rows, flipped = self.chosen(index)
        ids = [self.image_ids[image] for image in np.unique(self.image_index[rows])]
        own = share.rows(len(rows))
        rows, flipped = rows[own.start : own.stop], flipped[own.start : own.stop]
        images, counts = np.unique(self.image_index[rows], return_counts=True)
        parts = np.split(np.arange(len(rows)), counts.cumsum()[:-1])
        crops = [
            warp(
                self._kept[self.image_ids[image]],
                self.boxes[rows[part]],
                size=self.settings.size,
                context=self.settings.context,
                flipped=flipped[part],
            )
            for image, part in zip(images, parts, strict=True)
        ]
        return {
            "ids": ids,
            "crops": torch.from_numpy(np.concatenate(crops)),
            "labels": torch.from_numpy(self.labels[rows]),
        }

    def chosen(self, index: int) -> tuple[np.ndarray, np.ndarray]:
        """Draw the regions of item `index`: rows [B], ordered by image, and bool [B], True for regions to mirror."""
        rng = np.random.default_rng([self.seed, index])
        num_objects = min(round(self.batch_size * self.fg_fraction), len(self.objects))
        num_backgrounds = min(self.batch_size - num_objects, len(self.backgrounds))
        rows = np.concatenate(
            [
                rng.choice(self.objects, num_objects, replace=False),
                rng.choice(self.backgrounds, num_backgrounds, replace=False),
            ]
        )
        flipped = rng.random(len(rows)) < 0.5 if self.flip else np.zeros(len(rows), bool)
        return rows[np.argsort(self.image_index[rows], kind="stable")], flipped


def logits_of(model: nn.Module, batch: Mapping[str, Any]) -> Tensor:
    """Compute the logits [B, C + 1] of a batch: of its `crops`, normalised on their device, or of their `pool5`."""
    if "pool5" in batch:  # src/rcnn/described_batches.py
        return model.classifier(batch["pool5"].float())  # type: ignore[operator]
    return model(normalize(batch["crops"]))


def region_loss(model: nn.Module, batch: Mapping[str, Any]) -> dict[str, Tensor]:
    """Compute the cross entropy over the classes and background."""
    labels = batch["labels"]
    return {"loss": nn.functional.cross_entropy(logits_of(model, batch), labels) * weight(len(labels))}
