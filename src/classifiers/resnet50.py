"""ResNet-50, -101 and -152 (He et al. 2016, arXiv:1512.03385): blocks that learn what to add to their input.

The layers have torchvision's names, so that its weights fit. B images, C classes.
"""

from typing import Literal

import torch
from torch import Tensor, nn

from src.classification.params import Classifier
from src.params import Fraction, Positive, Section

DEPTHS = {"resnet50": (3, 4, 6, 3), "resnet101": (3, 4, 23, 3), "resnet152": (3, 8, 36, 3)}  # blocks, Table 1
WIDTHS = (64, 128, 256, 512)  # channels in the middle of a block, Table 1
EXPANSION = 4  # output channels of a block, as a multiple of the middle ones


class Model(Section):
    """The parameters of the network."""

    name: Literal["resnet50", "resnet101", "resnet152"]
    width: Positive
    dropout: Fraction
    bn_momentum: Fraction
    stride_on: Literal["1x1", "3x3"]
    relu_before_addition: bool
    zero_init_residual: bool


class Params(Classifier):
    """The section `classifiers.resnet50`."""

    model: Model


class Bottleneck(nn.Module):
    """A block: 1 x 1 to few channels, 3 x 3, 1 x 1 back to many, plus the input (Fig. 5, right)."""

    def __init__(self, before: int, middle: int, stride: int, model: Model) -> None:
        super().__init__()
        after = EXPANSION * middle
        first, second = (stride, 1) if model.stride_on == "1x1" else (1, stride)
        self.conv1 = nn.Conv2d(before, middle, 1, stride=first, bias=False)
        self.bn1 = nn.BatchNorm2d(middle, momentum=model.bn_momentum)
        self.conv2 = nn.Conv2d(middle, middle, 3, stride=second, padding=1, bias=False)
        self.bn2 = nn.BatchNorm2d(middle, momentum=model.bn_momentum)
        self.conv3 = nn.Conv2d(middle, after, 1, bias=False)
        self.bn3 = nn.BatchNorm2d(after, momentum=model.bn_momentum)
        self.relu = nn.ReLU(inplace=True)
        self.relu_before_addition = model.relu_before_addition
        self.downsample = nn.Sequential()  # the identity if the shape stays the same (Sec. 4.1, option B)
        if stride != 1 or before != after:
            norm = nn.BatchNorm2d(after, momentum=model.bn_momentum)
            self.downsample.extend([nn.Conv2d(before, after, 1, stride=stride, bias=False), norm])

    def forward(self, x: Tensor) -> Tensor:
        """Map features [B, `before`, H, W] to [B, 4 `middle`, H / stride, W / stride]."""
        residual = self.relu(self.bn1(self.conv1(x)))
        residual = self.relu(self.bn2(self.conv2(residual)))
        residual = self.bn3(self.conv3(residual))
        if self.relu_before_addition:  # as in the tutorial: a block can then only add, never subtract
            residual = torch.relu(residual)
        return self.relu(residual + self.downsample(x))


class ResNet(nn.Module):
    """A stem of stride 4, four groups of blocks, the mean over all positions, one linear layer (Table 1)."""

    def __init__(self, num_classes: int, model: Model) -> None:
        super().__init__()
        stem, *_ = widths = [max(1, round(width * model.width)) for width in WIDTHS]
        self.conv1 = nn.Conv2d(3, stem, 7, stride=2, padding=3, bias=False)
        self.bn1 = nn.BatchNorm2d(stem, momentum=model.bn_momentum)
        self.relu = nn.ReLU(inplace=True)
        self.maxpool = nn.MaxPool2d(3, stride=2, padding=1)
        before = stem
        for number, (middle, depth) in enumerate(zip(widths, DEPTHS[model.name], strict=True), start=1):
            group = nn.Sequential()
            for index in range(depth):  # every group but the first halves the map in its first block
                group.append(Bottleneck(before, middle, 2 if index == 0 and number > 1 else 1, model))
                before = EXPANSION * middle
            self.add_module(f"layer{number}", group)
        self.dropout = nn.Dropout(model.dropout)
        self.fc = nn.Linear(before, num_classes)

    def forward(self, images: Tensor) -> Tensor:
        """Return logits [B, C] of images [B, 3, H, W]; H and W may be any size from 32 pixels."""
        maps = self.maxpool(self.relu(self.bn1(self.conv1(images))))
        for number in range(1, 5):
            maps = self.get_submodule(f"layer{number}")(maps)
        return self.fc(self.dropout(maps.mean((2, 3))))


def build(num_classes: int, model: Model) -> nn.Module:
    """Build the network with random weights (He et al. 2015), initialised like torchvision's.

    With `zero_init_residual` each block begins as the identity (Goyal et al. 2017, Sec. 5.1): the 16 blocks in a row do
    not drown the input at the start, so a training of few steps makes progress.
    """
    net = ResNet(num_classes, model)
    for layer in net.modules():
        if isinstance(layer, nn.Conv2d):
            nn.init.kaiming_normal_(layer.weight, mode="fan_out", nonlinearity="relu")
        elif isinstance(layer, Bottleneck) and model.zero_init_residual:
            nn.init.zeros_(layer.bn3.weight)
    return net
