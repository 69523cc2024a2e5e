"""The objects of a batch of images as few tensors: B images, at most M objects in an image.

A dictionary has `boxes` [B, M, 4] and `labels` [B, M]; rows with the label 0 are padding. So a whole batch is matched
at once, and a worker shares two tensors per batch instead of two per image.
"""

from collections.abc import Mapping, Sequence

import torch
from torch import Tensor
from torch.nn.utils.rnn import pad_sequence

from src.boxes.overlap import iou

NEVER = -1.0  # overlap of padding, below every threshold


def padded(targets: Sequence[Mapping[str, Tensor]]) -> dict[str, Tensor]:
    """Pad the objects of each image, `boxes` [K, 4] and `labels` [K] from 1, to one length.

    Returns:
        `boxes` float32 [B, M, 4] and `labels` int64 [B, M]; M is the largest K, and at least 1.
    """
    row = {"boxes": torch.zeros(1, 4), "labels": torch.zeros(1, dtype=torch.int64)}  # makes M at least 1
    return {name: pad_sequence([*(target[name] for target in targets), one], True)[:-1] for name, one in row.items()}


def overlaps(targets: Mapping[str, Tensor], boxes: Tensor) -> Tensor:
    """Compute the IoU [B, M, N] of every object with every box [N, 4]; rows of padding are `NEVER`."""
    found = iou(targets["boxes"], boxes)
    return found.masked_fill_((targets["labels"] == 0)[:, :, None], NEVER)
