"""A few dense 3 x 3 convolutions with BatchNorm: from random weights, they learn in fewer steps than separable ones."""

from torch import Tensor, nn

CHANNELS = (32, 32, 96, 192, 192)  # at stride 2, 4, 8, 16, 32
DEPTHS = (1, 1, 2, 2, 2)  # convolutions per stride; few at the first strides, whose large maps take the most time


def _block(before: int, after: int, depth: int) -> nn.Sequential:
    layers: list[nn.Module] = []
    for index in range(depth):
        conv = nn.Conv2d(after if index else before, after, 3, stride=1 if index else 2, padding=1, bias=False)
        layers += [conv, nn.BatchNorm2d(after), nn.ReLU(inplace=True)]
    return nn.Sequential(*layers)


class Plain(nn.Module):
    """Blocks 1 to `last`, each of stride 2, with the feature maps of blocks `first` to `last`."""

    def __init__(self, width: float, first: int, last: int) -> None:
        super().__init__()
        widths = [3, *(int(width * channels) for channels in CHANNELS[:last])]
        self.features = nn.ModuleList(
            _block(before, after, depth) for before, after, depth in zip(widths, widths[1:], DEPTHS, strict=False)
        )
        self.first, self.channels = first, tuple(widths[first:])

    def forward(self, images: Tensor) -> list[Tensor]:
        """Return the feature maps, from fine to coarse, of images [B, 3, H, W]."""
        maps = [images]
        for block in self.features:
            maps.append(block(maps[-1]))
        return maps[self.first :]


def pyramid(width: float) -> nn.Module:
    """Build the network with maps of stride 8, 16 and 32; `width` multiplies all channels."""
    return Plain(width, 3, 5)


def single(width: float) -> nn.Module:
    """Build the network with one map of stride 16; `width` multiplies all channels."""
    return Plain(width, 4, 4)
