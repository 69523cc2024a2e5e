"""Random choices of labelled boxes for a batch of images."""

import torch
from torch import Tensor

from src.boxes.matching import BACKGROUND, IGNORED, OBJECT
from src.training.processes import rand


def sample(labels: Tensor, count: int, fraction: float) -> Tensor:
    """Keep a random choice of `count` labels per image, at most `fraction` of them objects; the rest is ignored.

    Background fills the places that objects leave free. Each box gets a random number, and those with the largest are
    chosen. The numbers come from the generator of the CPU, so that any device makes the same choice. Processes that
    train together draw those of the whole batch, so N is the same in all of them (`src.training.processes.widened`).

    Args:
        labels: [B, N], each `OBJECT`, `BACKGROUND` or `IGNORED`.
        count: number of labels to keep per image; fewer are kept if an image has fewer.
        fraction: largest share of objects.

    Returns:
        labels [B, N].
    """
    keys = rand(*labels.shape).to(labels.device)
    kept = torch.full_like(labels, IGNORED)
    free = torch.full_like(labels[:, :1], count)
    for value, most in ((OBJECT, int(count * fraction)), (BACKGROUND, count)):
        drawn, columns = keys.masked_fill(labels != value, -1.0).topk(min(most, labels.shape[1]), dim=1)
        chosen = (drawn >= 0) & (torch.arange(drawn.shape[1], device=labels.device) < free)
        kept.scatter_(1, columns, kept.gather(1, columns).masked_fill_(chosen, value))
        free = free - chosen.sum(dim=1, keepdim=True)
    return kept
