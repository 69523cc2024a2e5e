"""Any of torchvision's classifiers by name, with a given number of classes, dropout and BatchNorm momentum."""

import torchvision
from torch import nn

from src.errors import InputError
from src.params import Fraction, Positive, Section

TWO_OUTPUTS = ("googlenet", "inception_v3")  # in train mode they also return the output of auxiliary layers


class Model(Section):
    """The network."""

    name: str
    width: Positive
    dropout: Fraction | None
    bn_momentum: Fraction


def network(num_classes: int, model: Model) -> nn.Module:
    """Build the network with random weights; its forward maps images [B, 3, H, W] to logits [B, num_classes].

    Args:
        num_classes: there is no background.
        model: `width` multiplies the channels of a MobileNet; other networks need 1.0. `dropout` is set in all dropout
            layers; None keeps torchvision's values. `bn_momentum` is set in every BatchNorm; it is the rate at which
            the statistics follow the batches.
    """
    known = [name for name in torchvision.models.list_models(module=torchvision.models) if name not in TWO_OUTPUTS]
    if model.name not in known:
        raise InputError(f"model.name = {model.name!r}: torchvision has no such classifier; it has {', '.join(known)}")
    options = {} if model.width == 1.0 else {"width_mult": model.width}
    try:
        net: nn.Module = torchvision.models.get_model(model.name, weights=None, num_classes=num_classes, **options)
    except TypeError:
        raise InputError(f"model.width = {model.width}: {model.name} has only one width: set it to 1.0") from None
    dropouts = [layer for layer in net.modules() if isinstance(layer, nn.Dropout)]
    if model.dropout is not None:
        if not dropouts:
            raise InputError(f"model.dropout = {model.dropout}: {model.name} has no dropout: set it to null")
        for dropout in dropouts:
            dropout.p = model.dropout
    for layer in net.modules():
        if isinstance(layer, nn.BatchNorm2d):
            layer.momentum = model.bn_momentum
    return net


def last_layer(net: nn.Module) -> nn.Module:
    """Return the layer that outputs the classes: the last one in the network that has weights of its own."""
    return [layer for layer in net.modules() if layer._parameters][-1]
