"""The optimizers of a training by name: torch's own, and two that torch does not have."""

from collections.abc import Sequence
from typing import Any

import torch
from torch import nn

from src.training.settings import Train


def optimizer(settings: Train, groups: Sequence[dict[str, Any]]) -> torch.optim.Optimizer:
    """Build the optimizer of parameter groups.

    Args:
        settings: `optimizer`, `lr`, `weight_decay`, and `momentum` for sgd. The weight decay of adamw, adabelief and
            ranger is decoupled from the gradient; that of sgd and adam is added to it.
        groups: parameter groups with `params`; further keys are kept.
    """
    options: dict[str, Any] = {"lr": settings.lr, "weight_decay": settings.weight_decay}
    # A fused step is one kernel. Without it, networks of many small layers spend a sixth of their time in the steps.
    # With scaled gradients (16-mixed), a fused optimizer would make clipping impossible.
    fused = settings.precision != "16-mixed"
    match settings.optimizer:
        case "sgd":
            return torch.optim.SGD(groups, momentum=settings.momentum, **options)
        case "adam":
            return torch.optim.Adam(groups, fused=fused, **options)
        case "adamw":
            return torch.optim.AdamW(groups, fused=fused, **options)
        case "adabelief":  # Zhuang et al. 2020
            from pytorch_optimizer import AdaBelief  # imported here: it takes more than a second, and few use it

            return AdaBelief(groups, **options)
        case "ranger":  # RAdam, Lookahead and gradient centralisation: Wright and Demeure 2021
            from pytorch_optimizer import Ranger

            return Ranger(groups, **options)


def parameter_groups(model: nn.Module, fresh: Sequence[str], scale: float) -> list[dict[str, Any]]:
    """Group the parameters by learning rate; frozen ones are in no group.

    Args:
        model: the network.
        fresh: layers that start at random while others are pretrained; they learn at `scale` times the rate.
        scale: the factor.

    Returns:
        groups with `params` and `lr_scale` for `src.training.loop.fit`; a group without parameters is left out.
    """
    named = {name: value for name, value in model.named_parameters() if value.requires_grad}
    new = [value for name, value in named.items() if name.rpartition(".")[0] in fresh]
    old = [value for name, value in named.items() if name.rpartition(".")[0] not in fresh]
    groups = [{"params": old, "lr_scale": 1.0}, {"params": new, "lr_scale": scale}]
    return [group for group in groups if group["params"]]
