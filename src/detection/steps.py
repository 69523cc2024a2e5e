"""Trainings in steps: in each step some parts of a network learn, and all others stand still.

A detector has such a training if its file names a subclass of `Steps` as `STEPS`. One parameter of its section turns it
on: the epochs of each step. What learns depends on the epoch alone, so a training resumes in any step.
"""

from collections.abc import Sequence
from itertools import accumulate, chain
from types import ModuleType
from typing import Any, ClassVar

from torch import nn

from src.detection.freezing import HeldBackbone, hold
from src.errors import InputError


class Steps(nn.Module):
    """A network during a training in steps. It is trained in the network's place; its forward gets the same arguments.

    In training mode, a subclass's forward returns only the outputs that the step's losses need. In eval mode it returns
    those of the network.

    Attributes:
        key: the parameter in the section's `loss`: the epochs of each step, or null to train all parts at once.
        learning: the parts of this module that learn in each step. Together they hold all values of the module; none
            lies in another, and the names of backbones end with `backbone`.
        net: the network.
        step: the present step, from 0.
    """

    key: ClassVar[str]
    learning: ClassVar[tuple[tuple[str, ...], ...]]

    def __init__(self, net: HeldBackbone, epochs: Sequence[int]) -> None:
        super().__init__()
        self.net: Any = net  # of one detector, whose parts only the subclass knows
        self.step, self.ends = 0, list(accumulate(epochs))

    def enter(self, epoch: int) -> None:
        """Let the parts of an epoch's step learn; the others stand still: values, dropout, BatchNorm's statistics.

        Args:
            epoch: from 0; one after the last step belongs to the last step.
        """
        self.step = min(sum(epoch >= end for end in self.ends), len(self.learning) - 1)
        for name in dict.fromkeys(chain.from_iterable(self.learning)):
            part, learns = self.get_submodule(name), name in self.learning[self.step]
            part.requires_grad_(learns).train(learns)
            if name.endswith("backbone"):
                hold(part, self.net.freeze)

    def layers(self, names: Sequence[str]) -> list[str]:
        """Return the names that layers of the network have in this module."""
        return [f"net.{name}" for name in names]


def in_steps(module: ModuleType, net: Any, rules: Any, epochs: int) -> Steps | None:
    """Return a network in its steps, or None if all its parts are trained at once.

    Args:
        module: the detector's file.
        net: the network.
        rules: the section's `loss`.
        epochs: of the whole training.

    Raises:
        InputError: the steps do not add up to `epochs`.
    """
    if wrong := problem(module, rules, epochs):
        raise InputError(wrong)
    lengths = _lengths(module, rules)
    return None if lengths is None else module.STEPS(net, lengths)


def problem(module: ModuleType, rules: Any, epochs: int) -> str | None:
    """Say in words why the steps do not fit the training, by their key; None if they do. Arguments as of `in_steps`."""
    lengths = _lengths(module, rules)
    if lengths is None or sum(lengths) == epochs:
        return None
    key = f"detectors.{module.__name__.rpartition('.')[2]}.loss.{module.STEPS.key}"
    return f"{key} = {lengths}: {sum(lengths)} epochs, and train.epochs is {epochs}: make them equal"


def _lengths(module: ModuleType, rules: Any) -> list[int] | None:
    """Return the epochs of each step; None if there are no steps."""
    lengths: list[int] | None = getattr(rules, module.STEPS.key) if hasattr(module, "STEPS") else None
    return lengths
