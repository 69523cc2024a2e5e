"""The exponential moving average of a network's weights, with a decay that rises at the start.

A constant decay of 0.999 gives the random weights of the start a share of 0.57 after 560 steps. The ramp is that of
TensorFlow's `ExponentialMovingAverage` with `num_updates`; timm's `ModelEmaV3` has a ramp for the same reason.
"""

from copy import deepcopy
from typing import Any

import torch
from torch import Tensor, nn


def decay_at(step: int, decay: float) -> float:
    """Return the decay of a step, from 0: (1 + step) / (10 + step), and at most `decay`.

    >>> [round(decay_at(step, 0.98), 3) for step in (0, 1, 10, 440, 10**6)]
    [0.1, 0.182, 0.55, 0.98, 0.98]
    """
    return min(decay, (1 + step) / (10 + step))


class Average:
    """The average of a network's weights and buffers; it starts as a copy of them.

    Buffers that are not floating-point numbers, such as BatchNorm's count of batches, are copied at each step.

    Attributes:
        module: a copy of the network with the averaged values.
        steps: the number of updates so far.
    """

    def __init__(self, model: nn.Module, decay: float) -> None:
        self.module, self.steps, self._decay = deepcopy(model), 0, decay
        # The lists are made once, because walking through hundreds of layers costs more than the average itself.
        pairs = [(own.detach(), other.detach()) for own, other in zip(_all(self.module), _all(model), strict=True)]
        self._floats = _unzipped([pair for pair in pairs if pair[0].is_floating_point()])
        self._others = _unzipped([pair for pair in pairs if not pair[0].is_floating_point()])

    @torch.no_grad()
    def update(self) -> None:
        """Move the average towards the present weights of the network."""
        if self._floats[0]:
            torch._foreach_lerp_(*self._floats, 1 - decay_at(self.steps, self._decay))
        if self._others[0]:
            torch._foreach_copy_(*self._others)
        self.steps += 1

    def state_dict(self) -> dict[str, Any]:
        """Return the averaged values and the number of steps, on which the decay depends."""
        return {"module": self.module.state_dict(), "steps": self.steps}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Go on from the result of `state_dict`."""
        self.module.load_state_dict(state["module"])
        self.steps = state["steps"]


def _all(model: nn.Module) -> list[Tensor]:
    return [*model.parameters(), *model.buffers()]


def _unzipped(pairs: list[tuple[Tensor, Tensor]]) -> tuple[list[Tensor], list[Tensor]]:
    return [own for own, _ in pairs], [other for _, other in pairs]
