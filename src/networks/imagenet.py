"""Normalise images for networks with ImageNet's weights: RGB in 0..1, minus the mean, divided by the deviation."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from torchvision.transforms import v2

MEAN = (0.485, 0.456, 0.406)
STD = (0.229, 0.224, 0.225)


def normalise(mean: Sequence[float] | None = None, std: Sequence[float] | None = None) -> "v2.Transform":
    """Return the step from bytes [..., 3, H, W] to normalised floats; None means ImageNet's mean and deviation."""
    import torch  # here, not above: the mean and the deviation alone need no network
    from torchvision.transforms import v2

    return v2.Compose([v2.ToDtype(torch.float32, scale=True), v2.Normalize(list(mean or MEAN), list(std or STD))])
