"""MobileNetV3 (Howard et al. 2019, arXiv:1905.02244), torchvision's; or any other of its classifiers, by `model.name`.

Differs: its BatchNorm statistics follow the batches with a momentum of 0.1. torchvision's 0.01 is for the many steps of
ImageNet: a training of some hundred steps ends with statistics that are still those of the start, and a network that
looks perfect in train mode guesses in eval mode. That is what the tutorial's 0.77 and 0.44 on MNIST look like.
"""

from torch import nn

from src.classification.params import Classifier
from src.networks.torchvision_classifier import Model, network


class Params(Classifier):
    """The section `classifiers.mobilenet_v3`."""

    model: Model


def build(num_classes: int, model: Model) -> nn.Module:
    """The network with random weights."""
    return network(num_classes, model)
