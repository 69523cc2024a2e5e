"""The network that describes a region: a torchvision classifier with layers pool5, fc6 and fc7.

It is AlexNet (Krizhevsky et al. 2012), a VGG (Simonyan and Zisserman 2015), or any other torchvision model that
consists of `features`, `avgpool` and a `classifier` with three linear layers.
"""

import math
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path
from typing import cast

import torch
import torchvision
from torch import Tensor, nn

from src.errors import InputError
from src.files.weights import read_tensors


def build(
    backbone: str, num_classes: int, *, pool: int | None = None, hidden: int = 4096, dropout: float = 0.5
) -> nn.Module:
    """Build the network with random weights.

    Args:
        backbone: name of a torchvision model, such as `alexnet` or `vgg16`.
        num_classes: including background.
        pool: side of the map pool5; None keeps the backbone's own, 6 for AlexNet and 7 for a VGG. A smaller side fits
            small crops: AlexNet turns 67 pixels into one cell, and a side of 6 would give fc6 36 copies of it.
        hidden: width of fc6 and fc7.
        dropout: share of the inputs of fc6 and fc7 that training drops.
    """
    try:
        if backbone not in torchvision.models.list_models(module=torchvision.models):
            raise ValueError  # such as a detector or a segmentation network, which would download a backbone
        model = torchvision.models.get_model(backbone, weights=None, num_classes=num_classes)
        first, second, last = (layer for layer in model.classifier if isinstance(layer, nn.Linear))
    except (ValueError, AttributeError, TypeError):
        raise InputError(
            f"backbone = {backbone!r} is not a torchvision model with `features` and three "
            "linear layers, such as alexnet, vgg11, vgg16 or vgg16_bn"
        ) from None
    inputs = first.in_features
    if pool is not None:
        inputs = inputs // math.prod(model.avgpool.output_size) * pool**2
        model.avgpool = nn.AdaptiveAvgPool2d(pool)
    widths = {first: (inputs, hidden), second: (hidden, hidden), last: (hidden, num_classes)}
    for index, layer in enumerate(model.classifier):
        if layer in widths:
            model.classifier[index] = nn.Linear(*widths[layer])
        elif isinstance(layer, nn.Dropout):
            layer.p = dropout
    model.apply(_initialise)
    nn.init.normal_(model.classifier[-1].weight, std=0.01)  # R-CNN's fc8: at the start no class is favoured
    return cast(nn.Module, model)


def _initialise(layer: nn.Module) -> None:
    # He et al. 2015: without it AlexNet, which has no normalisation, takes many epochs to begin to learn.
    if isinstance(layer, nn.Conv2d | nn.Linear):
        nn.init.kaiming_normal_(layer.weight, nonlinearity="relu")
        if layer.bias is not None:
            nn.init.zeros_(layer.bias)


def read(path: Path) -> tuple[nn.Module, list[str]]:
    """Read a fine-tuned network from the file that the stage `finetune` wrote, and the names of its classes."""
    tensors, facts = read_tensors(path)
    net = build(facts["backbone"], len(facts["classes"]) + 1, pool=facts["pool"], hidden=facts["hidden"])
    net.load_state_dict(tensors)
    return net, facts["classes"]


def describe(model: nn.Module, crops: Tensor, layer: str, precision: str = "32-true") -> Tensor:
    """Compute the features of crops: pool5 (flattened), or fc6 or fc7 after their ReLU (R-CNN Sec. 3.2).

    Args:
        model: the network, in eval mode so that dropout is off.
        crops: [N, 3, S, S].
        layer: one of `src.rcnn.features.LAYERS`, or several joined by `+`, such as `pool5+fc7`.
        precision: `32-true`, or `bf16-mixed` for products of bfloat16 numbers.

    Returns:
        [N, D]; the features of several layers are concatenated.
    """
    with mixed(crops.device, precision):
        return layers_of(model, model.features(crops), layer)  # type: ignore[operator]


def mixed(device: torch.device, precision: str) -> AbstractContextManager[object]:
    """Return the context in which products have a precision: `32-true`, or `bf16-mixed`."""
    return torch.autocast(device.type, torch.bfloat16) if precision == "bf16-mixed" else nullcontext()


def layers_of(model: nn.Module, maps: Tensor, layer: str) -> Tensor:
    """Compute the features [N, D] of regions from the last pooling of the convolutions [N, C, H, W]; N may be 0."""
    features = model.avgpool(maps).flatten(1)  # type: ignore[operator]
    return torch.cat([head(model, name)(features) for name in layer.split("+")], dim=1)


def head(model: nn.Module, layer: str) -> nn.Sequential:
    """Return the part of the classifier from pool5 to a layer; it is empty for pool5."""
    classifier = cast(nn.Sequential, model.classifier)
    ends = [index + 2 for index, part in enumerate(classifier) if isinstance(part, nn.Linear)]  # with the ReLU
    return classifier[: {"pool5": 0, "fc6": ends[0], "fc7": ends[1]}[layer]]


def widths(model: nn.Module, layer: str) -> list[int]:
    """Return the number of features of a region, for each of the layers that `layer` joins."""
    linear = next(part for part in cast(nn.Sequential, model.classifier) if isinstance(part, nn.Linear))
    return [linear.in_features if name == "pool5" else linear.out_features for name in layer.split("+")]
