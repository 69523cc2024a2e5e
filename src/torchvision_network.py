"""Any of torchvision's classifiers by its name, with the number of classes, dropout and BatchNorm's momentum set."""

import torchvision
from torch import nn

from src.errors import InputError
from src.params import Fraction, Positive, Section


class Model(Section):
    """What the network is."""

    name: str
    width: Positive
    dropout: Fraction | None
    bn_momentum: Fraction


def network(num_classes: int, model: Model) -> nn.Module:
    """The network with random weights, whose forward gives logits [B, num_classes] of images [B, 3, H, W].

    Args:
        num_classes: there is no background.
        model: `width` multiplies the channels, of the MobileNets; `dropout` is that of all dropout layers, None leaves
            them as they are; `bn_momentum` that of every BatchNorm, by which its statistics follow the batches.
    """
    options = {} if model.width == 1.0 else {"width_mult": model.width}
    try:
        net: nn.Module = torchvision.models.get_model(model.name, weights=None, num_classes=num_classes, **options)
    except ValueError as error:
        raise InputError(f"model.name = {model.name!r}: torchvision has no such classifier ({error})") from None
    except TypeError:
        raise InputError(f"{model.name} has one width, and model.width is {model.width}: set it to 1.0") from None
    if getattr(net, "aux_logits", False) or not isinstance(last_layer(net), nn.Linear | nn.Conv2d):
        raise InputError(f"model.name = {model.name!r} is no network with one output of classes: take another")
    dropouts = [layer for layer in net.modules() if isinstance(layer, nn.Dropout)]
    if model.dropout is not None:
        if not dropouts:
            raise InputError(f"{model.name} has no dropout, and model.dropout is {model.dropout}: set it to null")
        for dropout in dropouts:
            dropout.p = model.dropout
    for layer in net.modules():
        if isinstance(layer, nn.BatchNorm2d):
            layer.momentum = model.bn_momentum
    return net


def last_layer(net: nn.Module) -> nn.Module:
    """The layer that gives the classes: the last in the network that has weights of its own."""
    return [layer for layer in net.modules() if layer._parameters][-1]
