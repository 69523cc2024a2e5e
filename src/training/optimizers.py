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
        groups: parameter groups with `params`; `weight_decay` overrides the settings', and further keys are kept.
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


def parameter_groups(model: nn.Module, fresh: Sequence[str], scale: float, settings: Train) -> list[dict[str, Any]]:
    """Group the parameters by learning rate and weight decay; frozen ones are in no group.

    Args:
        model: the network.
        fresh: layers that start at random while others are pretrained; they learn at `scale` times the rate.
        scale: the factor.
        settings: `weight_decay`; `bias_lr_scale`, one more factor for all biases; and `decay_biases`. Without the last,
            parameters with one dimension have no weight decay: biases, and the scales of BatchNorm and L2Norm.

    Returns:
        groups with `params`, `lr_scale` for `src.training.loop.fit`, and `weight_decay`; pretrained layers come first.
    """
    groups: dict[tuple[bool, float, float], list[nn.Parameter]] = {}
    named = [(*name.rpartition(".")[::2], value) for name, value in model.named_parameters() if value.requires_grad]
    for layer, name, value in sorted(named, key=lambda entry: entry[0] in fresh):
        new = layer in fresh
        lr_scale = (scale if new else 1.0) * (settings.bias_lr_scale if name == "bias" else 1.0)
        decay = settings.weight_decay if settings.decay_biases or value.ndim > 1 else 0.0
        groups.setdefault((new, lr_scale, decay), []).append(value)
    return [
        {"params": values, "lr_scale": lr_scale, "weight_decay": decay}
        for (_, lr_scale, decay), values in groups.items()
    ]
