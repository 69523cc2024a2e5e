"""A training of several networks on the same batches, step by step, with the time and the loss of each step."""

import math
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from torch import nn

from src.detection.batches import DetectionBatches
from src.files.storage import atomic
from src.training.loading import Loader

SAVE_EVERY = 100  # steps
Batch = Mapping[str, Any]


class Race:
    """A training of several networks in turns, step by step; it can be interrupted if `state` names a file.

    The learning rate rises to `lr` over 20 steps and stays, or with `cosine` falls to 0 along half a cosine, over as
    many steps as `cosine` says.
    """

    def __init__(
        self, nets: Sequence[nn.Module], lr: float, state: Path | None = None, cosine: int | None = None
    ) -> None:
        self.nets, self.lr, self.state, self.cosine = nets, lr, state, cosine
        self.optimizers = [torch.optim.SGD(net.parameters(), lr=lr, momentum=0.9, weight_decay=5e-4) for net in nets]
        self.losses: list[list[float]] = [[] for _ in nets]  # of every step
        self.seconds: list[list[float]] = [[] for _ in nets]
        if state is not None and state.exists():
            saved = torch.load(state, map_location="cpu", weights_only=True)
            self.losses, self.seconds = saved["losses"], saved["seconds"]
            for stateful, content in zip([*nets, *self.optimizers], saved["states"], strict=True):
                stateful.load_state_dict(content)

    def run(self, data: DetectionBatches, steps: int, device: torch.device, workers: int = 0) -> None:
        """Train up to `steps` steps."""
        coming = range(len(self.losses[0]), steps)
        for step, batch in zip(coming, Loader(data, workers, device).on_device(coming), strict=True):
            for index in range(len(self.nets)) if step % 2 == 0 else reversed(range(len(self.nets))):
                self._step(index, step, batch)
            if step % 10 == 0:
                losses = " and ".join(f"{of_net[-1]:.3f}" for of_net in self.losses)
                print(f"step {step}: losses {losses}", flush=True)
            if self.state is not None and (step + 1) % SAVE_EVERY == 0:
                states = [stateful.state_dict() for stateful in [*self.nets, *self.optimizers]]
                with atomic(self.state) as path:
                    torch.save({"losses": self.losses, "seconds": self.seconds, "states": states}, path)

    def rate(self, step: int) -> float:
        """Return the learning rate of a step; steps count from 0."""
        share = 1.0 if self.cosine is None else (1 + math.cos(math.pi * step / self.cosine)) / 2
        return self.lr * min(1, (step + 1) / 20) * share

    def _step(self, index: int, step: int, batch: Batch) -> None:
        start = time.perf_counter()
        net, optimizer = self.nets[index], self.optimizers[index]
        for group in optimizer.param_groups:
            group["lr"] = self.rate(step)
        total = torch.stack(list(net.losses(batch).values())).sum()  # type: ignore[operator]
        optimizer.zero_grad()
        total.backward()
        nn.utils.clip_grad_norm_(net.parameters(), 10.0)
        optimizer.step()
        self.losses[index].append(total.item())  # waits for the device
        self.seconds[index].append(time.perf_counter() - start)
