"""The random values that new layers start from."""

from torch import nn


def xavier(network: nn.Module) -> None:
    """Give every convolution of a network Xavier's uniform weights and a bias of 0 (Glorot and Bengio 2010).

    SSD's released code and torchvision's start the layers after VGG16 so. From PyTorch's own start the spread of the
    features over images falls by a factor of six per layer without BatchNorm, and SSD's last maps would see nothing.

    Args:
        network: its convolutions are changed in place; one without bias stays without, and other layers stay as they
            are.
    """
    for layer in network.modules():
        if isinstance(layer, nn.Conv2d):
            nn.init.xavier_uniform_(layer.weight)
            if layer.bias is not None:
                nn.init.zeros_(layer.bias)
