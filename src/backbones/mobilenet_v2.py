"""MobileNetV2 (Sandler et al. 2018): depthwise convolutions with BatchNorm, for CPUs and for random initial weights."""

import torchvision
from torch import Tensor, nn

STRIDE_8, STRIDE_16, STRIDE_32 = 7, 14, 19  # index after the last layer of each stride


class Cut(nn.Module):
    """MobileNetV2 up to the last of `ends`, with a feature map at each of them."""

    def __init__(self, width: float, ends: tuple[int, ...]) -> None:
        super().__init__()
        self.features = torchvision.models.mobilenet_v2(weights=None, width_mult=width).features[: ends[-1]]
        self.starts, self.ends = (0, *ends[:-1]), ends
        self.channels = tuple(_channels(self.features[end - 1]) for end in ends)

    def forward(self, images: Tensor) -> list[Tensor]:
        """Return the feature maps, from fine to coarse, of images [B, 3, H, W]."""
        maps = [images]
        for start, end in zip(self.starts, self.ends, strict=True):
            maps.append(self.features[start:end](maps[-1]))
        return maps[1:]


def _channels(block: nn.Module) -> int:
    return [layer.num_features for layer in block.modules() if isinstance(layer, nn.BatchNorm2d)][-1]


def pyramid(width: float) -> nn.Module:
    """Build the network with maps of stride 8, 16 and 32; `width` multiplies all channels."""
    return Cut(width, (STRIDE_8, STRIDE_16, STRIDE_32))


def single(width: float) -> nn.Module:
    """Build the network with one map of stride 16; `width` multiplies all channels."""
    return Cut(width, (STRIDE_16,))
