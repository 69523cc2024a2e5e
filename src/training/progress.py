"""The progress of a training: the state that is kept between epochs, and its way into a checkpoint and back."""

import copy
import io
import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import torch
from lightning_fabric import Fabric
from torch import Tensor, nn
from torch.optim import Optimizer

from src.training import checkpoints, processes
from src.training.averaging import Average
from src.training.checkpoints import Content

Row = dict[str, float]


def sign(name: str) -> int:
    """Return -1 for a validation figure that is better if it is lower, a loss, and 1 for any other."""
    return -1 if name.endswith("loss") else 1


def copied(model: nn.Module) -> dict[str, Tensor]:
    """Return a copy of the weights by name, on the CPU."""
    return {name: tensor.detach().cpu().clone() for name, tensor in model.state_dict().items()}


@dataclass
class State:
    """The progress of a training."""

    history: list[Row]
    best: dict[str, Tensor] | None
    stale: int  # validations in a row without an improvement

    def add(self, row: Row, best_by: str | None, model: nn.Module) -> None:
        """Add the figures of an epoch, and keep its weights if they are the best so far."""
        if best_by is not None and best_by in row:
            before = [sign(best_by) * past[best_by] for past in self.history if best_by in past]
            if not before or sign(best_by) * row[best_by] > max(before):
                self.best, self.stale = copied(model), 0
            else:
                self.stale += 1
        self.history.append(row)


class Training(NamedTuple):
    """Everything that changes in a training.

    Attributes:
        fabric: the device, and the scale of the gradients in 16-mixed.
        model: the network.
        average: the average of its weights, if there is one.
        optimizer: the optimizer.
        state: the progress.
    """

    fabric: Fabric
    model: nn.Module
    average: Average | None
    optimizer: Optimizer
    state: State

    def content(self) -> Content:
        """Return the content of a checkpoint."""
        return {
            "model": copied(self.model),
            "average": None if self.average is None else self.average.state_dict(),
            "optimizer": self.optimizer.state_dict(),
            "precision": self.fabric.strategy.precision.state_dict(),  # the scale of the gradients in 16-mixed
            **vars(self.state),
        }

    def restore(self, content: Content) -> None:
        """Put the content of a checkpoint into the training."""
        # On the CPU, where the best weights stay; the rest is copied to its own device, and needs no second place.
        self.model.load_state_dict(content["model"])
        self.optimizer.load_state_dict(content["optimizer"])
        self.fabric.strategy.precision.load_state_dict(content["precision"])
        if self.average is not None:
            self.average.load_state_dict(content["average"])
        self.state.history, self.state.best, self.state.stale = content["history"], content["best"], content["stale"]

    def resume(self, path: Path | None) -> None:
        """Restore the newest state that is whole, if `path` or the file before it exists.

        Of several processes the first one reads the files, which need not be on the other machines, and sends its state
        to the others: so all start from the same weights, also without a checkpoint.
        """
        fabric = self.fabric
        files = () if path is None else (path, checkpoints.before(path))
        if path is not None and fabric.is_global_zero and any(os.path.lexists(file) for file in files):
            used = checkpoints.load(path, self.restore, copy.deepcopy(self.content()))
            if used is not None:
                fabric.print(f"resumed at epoch {len(self.state.history) + 1}, from {used}")
        if fabric.world_size > 1:
            sent = processes.broadcast(_packed(self.content()) if fabric.is_global_zero else b"")
            if not fabric.is_global_zero:
                self.restore(torch.load(io.BytesIO(sent), map_location="cpu", weights_only=True))


def _packed(content: Mapping[str, Any]) -> bytes:
    buffer = io.BytesIO()
    torch.save(dict(content), buffer)
    return buffer.getvalue()
