from typing import Any

import torch
from torch import nn

from src.backbones.vgg16 import L2Norm
from src.training.optimizers import optimizer, parameter_groups
from tests.training.test_loop import SETTINGS


def network() -> nn.Module:
    return nn.ModuleDict(
        {
            "old": nn.Conv2d(3, 4, 1),
            "norm": nn.BatchNorm2d(4),
            "scale": L2Norm(4),
            "frozen": nn.Conv2d(4, 4, 1).requires_grad_(False),
            "new": nn.Conv2d(4, 5, 1),
        }
    )


def named(net: nn.Module, groups: list[dict[str, Any]]) -> list[tuple[list[str], float, float]]:
    names = {id(value): name for name, value in net.named_parameters()}
    return [
        ([names[id(value)] for value in group["params"]], group["lr_scale"], group["weight_decay"]) for group in groups
    ]


def test_by_default_the_new_layers_are_a_group_and_all_others_are_one() -> None:
    net, settings = network(), SETTINGS.model_copy(update={"weight_decay": 0.5})
    old = ["old.weight", "old.bias", "norm.weight", "norm.bias", "scale.scale"]
    new = ["new.weight", "new.bias"]
    assert named(net, parameter_groups(net, ["new"], 10.0, settings)) == [(old, 1.0, 0.5), (new, 10.0, 0.5)]
    assert named(net, parameter_groups(net, [], 10.0, settings)) == [([*old, *new], 1.0, 0.5)]


def test_biases_learn_at_twice_the_rate_and_only_weights_decay_as_in_the_released_ssd() -> None:
    changes = {"weight_decay": 0.5, "bias_lr_scale": 2.0, "decay_biases": False}
    net, settings = network(), SETTINGS.model_copy(update=changes)
    groups = parameter_groups(net, ["new"], 10.0, settings)
    assert named(net, groups) == [
        (["old.weight"], 1.0, 0.5),
        (["old.bias", "norm.bias"], 2.0, 0.0),
        (["norm.weight", "scale.scale"], 1.0, 0.0),
        (["new.weight"], 10.0, 0.5),
        (["new.bias"], 20.0, 0.0),
    ]
    for value in net.parameters():
        value.grad = torch.zeros_like(value)
    before = {name: value.detach().clone() for name, value in net.named_parameters()}
    optimizer(settings, groups).step()
    changed = {name for name, value in net.named_parameters() if not torch.equal(value, before[name])}
    assert changed == {"old.weight", "new.weight"}  # without a gradient only the decay moves a value
