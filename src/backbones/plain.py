"""A few 3 x 3 convolutions with BatchNorm, as in VGG11: dense convolutions learn in few steps from random weights."""

from torch import Tensor, nn

CHANNELS = (32, 64, 128, 256, 256)  # of stride 2, 4, 8, 16, 32


def _block(before: int, after: int) -> nn.Sequential:
    first = nn.Conv2d(before, after, 3, stride=2, padding=1, bias=False)
    second = nn.Conv2d(after, after, 3, padding=1, bias=False)
    layers = [first, nn.BatchNorm2d(after), nn.ReLU(inplace=True), second, nn.BatchNorm2d(after), nn.ReLU(inplace=True)]
    return nn.Sequential(*layers)


class Plain(nn.Module):
    """Blocks of stride 2; the maps of those from `first` on."""

    def __init__(self, width: float, first: int, last: int) -> None:
        super().__init__()
        every = [3, *(int(width * channels) for channels in CHANNELS[:last])]
        self.features = nn.ModuleList(_block(*pair) for pair in zip(every[:-1], every[1:], strict=True))
        self.first, self.channels = first, tuple(every[first:])

    def forward(self, images: Tensor) -> list[Tensor]:
        """Feature maps, from fine to coarse, of images [B, 3, H, W]."""
        maps = [images]
        for block in self.features:
            maps.append(block(maps[-1]))
        return maps[self.first :]


def pyramid(width: float) -> nn.Module:
    """Maps of stride 8, 16 and 32; `width` multiplies all channels."""
    return Plain(width, 3, 5)


def single(width: float) -> nn.Module:
    """One map of stride 16."""
    return Plain(width, 4, 4)
