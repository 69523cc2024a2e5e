"""MobileNetV3 (Howard et al. 2019, arXiv:1905.02244) from torchvision, or another of its classifiers by `model.name`.

Differs: the momentum of the BatchNorm statistics is 0.1. torchvision's 0.01 suits the many steps of ImageNet. After a
few hundred steps it leaves the statistics close to their initial values: the network is good in train mode and guesses
in eval mode. The tutorial's accuracies of 0.77 and 0.44 on MNIST look like this.
"""

from torch import nn

from src.classification.params import Classifier
from src.networks.torchvision_classifier import Model, network


class Params(Classifier):
    """The section `classifiers.mobilenet_v3`."""

    model: Model


def build(num_classes: int, model: Model) -> nn.Module:
    """Build the network with random weights."""
    return network(num_classes, model)
