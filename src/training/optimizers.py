"""What takes the steps of a training, by name: torch's own, and two that torch does not have."""

from collections.abc import Sequence
from typing import Any

import torch
from torch import nn

from src.training.settings import Train


def optimizer(settings: Train, groups: Sequence[dict[str, Any]]) -> torch.optim.Optimizer:
    """The optimizer of parameter groups.

    Args:
        settings: `optimizer`, `lr`, `weight_decay`, and of sgd `momentum`. The decay of adamw, adabelief and ranger is
            apart from the gradient (decoupled), that of sgd and adam is added to it.
        groups: with `params`; further keys are kept.
    """
    options: dict[str, Any] = {"lr": settings.lr, "weight_decay": settings.weight_decay}
    # One kernel for a whole step: networks of many small layers spend a sixth of their time in the steps without it.
    # Gradients that are scaled, as with 16-mixed, could not be clipped then.
    fused = settings.precision != "16-mixed"
    match settings.optimizer:
        case "sgd":
            return torch.optim.SGD(groups, momentum=settings.momentum, **options)
        case "adam":
            return torch.optim.Adam(groups, fused=fused, **options)
        case "adamw":
            return torch.optim.AdamW(groups, fused=fused, **options)
        case "adabelief":  # Zhuang et al. 2020
            from pytorch_optimizer import AdaBelief  # here, not above: more than a second, for what few trainings use

            return AdaBelief(groups, **options)
        case "ranger":  # RAdam, Lookahead and gradient centralisation: Wright and Demeure 2021
            from pytorch_optimizer import Ranger

            return Ranger(groups, **options)


def parameter_groups(model: nn.Module, fresh: Sequence[str], scale: float) -> list[dict[str, Any]]:
    """Group the parameters by learning rate; frozen ones are in no group.

    Args:
        model: the network.
        fresh: layers that start at random although others do not; they learn at `scale` times the rate.
        scale: the factor.

    Returns:
        groups with `params` and `lr_scale`, as `src.training.loop.fit` takes them; a group without parameters is left
        out.
    """
    named = {name: value for name, value in model.named_parameters() if value.requires_grad}
    new = [value for name, value in named.items() if name.rpartition(".")[0] in fresh]
    old = [value for name, value in named.items() if name.rpartition(".")[0] not in fresh]
    groups = [{"params": old, "lr_scale": 1.0}, {"params": new, "lr_scale": scale}]
    return [group for group in groups if group["params"]]
