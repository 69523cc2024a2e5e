"""Positives and hard negatives of SSD (Liu et al. 2016, Sec. 2.2), for a whole batch at once.

B images, at most M objects in an image, N default boxes, P matches.
"""

from collections.abc import Mapping
from typing import NamedTuple

import torch
from torch import Tensor

from src.detection.targets import NEVER, overlaps


class Match(NamedTuple):
    """The positives of a batch: three indices per match, int64 [P], in the order of images and default boxes."""

    images: Tensor
    boxes: Tensor
    objects: Tensor


def match(boxes: Tensor, targets: Mapping[str, Tensor], iou_thresh: float) -> Match:
    """Match default boxes to objects (Sec. 2.2).

    First, each object takes the default box that overlaps it most. Then each other default box takes the object that it
    overlaps most, if that IoU is `iou_thresh` or more. Differs: if two objects have the same best default box, the
    released code and torchvision give it to the later object, and the other object may get none. Here the object with
    the larger overlap gets it, and the other object gets the best of the remaining boxes.

    Args:
        boxes: [N, 4], the default boxes.
        targets: `boxes` [B, M, 4] and `labels` [B, M], padded (`src.detection.targets`).
        iou_thresh: smallest IoU of a match, except for the best box of an object.

    Returns:
        the matches; none for an image without objects.
    """
    found = overlaps(targets, boxes)  # [B, M, N]
    images, objects, count = found.shape
    numbers = torch.arange(objects, device=found.device).expand(images, objects)
    forced = torch.full((images, count + 1), -1, device=found.device).scatter_(1, _best_boxes(found), numbers)[:, :-1]
    image, box = ((forced >= 0) | (found.amax(dim=1) >= iou_thresh)).nonzero(as_tuple=True)
    own = forced[image, box]
    return Match(image, box, torch.where(own >= 0, own, found[image, :, box].argmax(dim=1)))


def _best_boxes(found: Tensor) -> Tensor:
    """Return the box [B, M] that each object takes first, N if it takes none; `found` are the overlaps [B, M, N]."""
    count = found.shape[2]
    most, first = found.max(dim=2)
    first = first.masked_fill_(most < 0, count)  # padding
    ordered = first.sort(dim=1).values
    shared = ((ordered.diff(dim=1) == 0) & (ordered[:, 1:] < count)).any(dim=1).nonzero().flatten()
    if len(shared):
        first[shared] = _one_each(found[shared])
    return first


def _one_each(found: Tensor) -> Tensor:
    """Give each object a box of its own, the largest overlaps [B, M, N] first; `found` is overwritten."""
    images, objects, count = found.shape
    rows = torch.arange(images, device=found.device)
    taken = torch.full((images, objects), count, device=found.device)
    for _ in range(min(objects, count)):
        most, place = found.flatten(1).max(dim=1)
        item, box = place // count, place % count
        taken[rows, item] = torch.where(most >= 0, box, taken[rows, item])
        found[rows, item], found[rows, :, box] = NEVER, NEVER
    return taken


def hardest(losses: Tensor, positive: Tensor, per_positive: float) -> Tensor:
    """Find the negatives of each image with the largest losses, `per_positive` times as many as it has positives.

    Args:
        losses: [B, N]; of equal losses, the first ones are taken. A NaN counts as the largest loss, so that it shows.
        positive: bool [B, N].
        per_positive: number of negatives per positive.

    Returns:
        bool [B, N].
    """
    wanted = (positive.sum(dim=1, keepdim=True) * per_positive).long().clamp(max=losses.shape[1])
    losses = losses.nan_to_num(nan=torch.inf, posinf=torch.inf).masked_fill_(positive, -torch.inf)
    largest = losses.topk(max(int(wanted.max()), 1), dim=1).values
    least = largest.gather(1, (wanted - 1).clamp(min=0))  # of the losses to take
    above, equal = losses > least, losses == least
    chosen = above | (equal & (equal.cumsum(dim=1) <= wanted - above.sum(dim=1, keepdim=True)))
    return chosen & ~positive
