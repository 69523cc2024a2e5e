"""VGG16 (Simonyan and Zisserman 2015), unchanged and in SSD's fully convolutional form."""

from collections.abc import Mapping
from typing import cast

import torch
import torchvision
from torch import Tensor, nn

from src.errors import InputError
from src.networks.initial_values import xavier

CONV4_3 = 23  # index after the ReLU of conv4_3
CONV5_3 = 30


class L2Norm(nn.Module):
    """A layer that scales the features of each position to a learnt norm (Liu et al. 2015, ParseNet; SSD Sec. 3.1).

    The norm starts at 20. Without it the values of conv4_3, which are much larger, would dominate the later maps.
    """

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.scale = nn.Parameter(torch.full((channels,), 20.0))

    def forward(self, x: Tensor) -> Tensor:
        """Scale features [B, C, H, W]; the shape stays the same."""
        return self.scale[:, None, None] * nn.functional.normalize(x, dim=1)


class Pyramid(nn.Module):
    """conv4_3, L2-normalised, and conv7 with a dilation of 6 in conv6 ("a trous").

    For images of 300 pixels the maps have 38 x 38 and 19 x 19 cells: as in the released model, pool3 rounds up
    (75 -> 38) and pool5 is 3 x 3 with stride 1.
    """

    channels = (512, 1024)

    def __init__(self) -> None:
        super().__init__()
        self.features = torchvision.models.vgg16(weights=None).features
        self.features[16].ceil_mode = True  # pool3
        self.features[CONV5_3] = nn.MaxPool2d(3, stride=1, padding=1)
        self.norm = L2Norm(512)
        conv6, conv7 = nn.Conv2d(512, 1024, 3, padding=6, dilation=6), nn.Conv2d(1024, 1024, 1)
        self.conv = nn.Sequential(conv6, nn.ReLU(inplace=True), conv7, nn.ReLU(inplace=True))
        xavier(self.conv)

    def forward(self, images: Tensor) -> list[Tensor]:
        """Return the feature maps, from fine to coarse, of images [B, 3, H, W]."""
        fine = self.features[:CONV4_3](images)
        return [self.norm(fine), self.conv(self.features[CONV4_3:](fine))]


class Single(nn.Module):
    """VGG16 up to conv5_3, stride 16 (Ren et al. 2015, Sec. 3.1)."""

    channels = (512,)

    def __init__(self) -> None:
        super().__init__()
        self.features = cast(nn.Sequential, torchvision.models.vgg16(weights=None).features[:CONV5_3])

    def forward(self, images: Tensor) -> list[Tensor]:
        """Return the feature maps, from fine to coarse, of images [B, 3, H, W]."""
        return [self.features(images)]


def pyramid(width: float) -> nn.Module:
    """Build the network with SSD's first two maps, of strides 8 and 16; `width` must be 1.0."""
    _check(width)
    return Pyramid()


def single(width: float) -> nn.Module:
    """Build the network with one map of stride 16; `width` must be 1.0."""
    _check(width)
    return Single()


def adapted(weights: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Return weights with SSD's conv6 and conv7 in the place of fc6 and fc7, whose values they subsample (SSD Sec. 3).

    conv6 keeps every fourth output of fc6 and every third of its 7 x 7 cells; conv7 keeps every fourth output and input
    of fc7. Weights without fc6 and fc7, or with others than VGG16's, come back as they are.
    """
    fc6, fc7 = weights.get("classifier.0.weight"), weights.get("classifier.3.weight")
    if fc6 is None or fc7 is None or fc6.shape != (4096, 512 * 7 * 7) or fc7.shape != (4096, 4096):
        return dict(weights)
    return {
        **{name: value for name, value in weights.items() if not name.startswith("classifier.")},
        "conv.0.weight": fc6.reshape(4096, 512, 7, 7)[::4, :, ::3, ::3],
        "conv.0.bias": weights["classifier.0.bias"][::4],
        "conv.2.weight": fc7[::4, ::4, None, None],
        "conv.2.bias": weights["classifier.3.bias"][::4],
    }


def _check(width: float) -> None:
    if width != 1.0:
        raise InputError(
            f"model.width = {width}: vgg16 has no width but 1.0: set model.width to 1.0 or choose another backbone"
        )
