"""The losses of an epoch, added up on the device; the processor rarely waits for them.

Reading a loss at each step would make the processor wait for the GPU at each step.
"""

import math
from collections.abc import Callable, Mapping
from typing import Any

import torch
from torch import Tensor, nn

EVERY = 20  # batches between two readings; not a parameter: no figure depends on it
REMEDY = "lower train.lr, set train.grad_clip, or check these inputs"


class Tally:
    """The sums of named losses over the batches so far; all batches have the same names.

    Args:
        together: the mean of a tensor over the processes that train together, which have the same batches; None: this
            process is alone. The readings below are then exchanges, in which all processes take part.
    """

    def __init__(self, together: Callable[[Tensor], Tensor] | None = None) -> None:
        self._together = together or _unchanged
        self.count = 0
        self._names: list[str] = []
        self._sums: Tensor | None = None  # [number of names], double precision
        self._unread: list[tuple[Any, Tensor]] = []  # the ids and the losses of each batch since the last reading

    def add(self, named: Mapping[str, Tensor], batch: Any) -> Tensor:
        """Add the losses of a batch, and return their sum, whose gradient is that of the losses.

        Raises:
            FloatingPointError: as `means`; only after every 20th batch.
        """
        losses = torch.stack(list(named.values()))
        values = losses.detach().double()
        self._names, self.count = list(named), self.count + 1
        self._sums = values if self._sums is None else self._sums + values
        self._unread.append((batch.get("ids") if isinstance(batch, Mapping) else None, values))
        if len(self._unread) == EVERY:
            self._read()
        return losses.sum()

    @property
    def fresh(self) -> bool:
        """Check if the last batch was read, so that `means` makes nobody wait."""
        return not self._unread

    def means(self) -> dict[str, float]:
        """Return the mean of each loss over the batches; without batches {}.

        Raises:
            FloatingPointError: a loss is not finite; the message names the loss, and the batch with its `ids`.
        """
        self._read()
        sums = [] if self._sums is None else self._together(self._sums).tolist()
        return {name: value / self.count for name, value in zip(self._names, sums, strict=True)}

    def _read(self) -> None:
        unread, self._unread = self._unread, []
        rows = self._together(torch.stack([values for _, values in unread])).tolist() if unread else []
        for index, (row, (ids, _)) in enumerate(zip(rows, unread, strict=True), start=self.count - len(rows)):
            for name, value in zip(self._names, row, strict=True):
                if not math.isfinite(value):
                    where = f"batch {index} ({', '.join(ids) if ids else 'no ids'})"
                    raise FloatingPointError(f"{name} is {value} at {where}: {REMEDY}")


def _unchanged(values: Tensor) -> Tensor:
    return values


def check_weights(model: nn.Module) -> None:
    """Raise a FloatingPointError if a weight is not finite: the last batch had finite losses, but not gradients."""
    if not all(torch.stack([value.isfinite().all() for value in model.parameters()]).tolist()):
        raise FloatingPointError(f"the weights are not finite after the last batch: {REMEDY}")
