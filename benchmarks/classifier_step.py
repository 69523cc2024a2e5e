"""Compare a training step of each classifier with the same step in plain torch and torchvision.

    python -m benchmarks.classifier_step --steps 30

"Ours" is a step of `src.training.loop.fit` on prepared batches. "By hand" is torchvision's model of the same name with
torch's optimizer and loss and nothing else, on the same batches, from the same weights. The two take turns at going
first. The printed ratio is the median of the ratios of all pairs. If both compute the same, the first losses agree.
"""

import argparse
import time
from collections.abc import Iterator
from typing import Any, NamedTuple

import numpy as np
import torch
import torchvision
from lightning_fabric import Fabric
from ruamel.yaml import YAML
from torch import Tensor, nn

from benchmarks.pairs import Row, Setting, row
from src import plugins
from src.classification.loss import loss
from src.classification.params import Loss
from src.training.loop import Run, fit
from src.training.settings import Train

CLASSES = 10
PLAIN = Loss(label_smoothing=0.0, focal_gamma=0.0, balanced=False, class_weights={})


def networks(name: str, params: dict[str, Any]) -> tuple[nn.Module, nn.Module]:
    """Build our network, with its defaults except width and dropout, and torchvision's, with the same weights."""
    module, section = plugins.section("classifiers", params["classifiers"], name)
    model = section.model.model_copy(update={"width": 1.0, "dropout": 0.0})
    torch.manual_seed(0)
    ours = module.build(CLASSES, model).to(memory_format=torch.channels_last)
    theirs = torchvision.models.get_model(model.name, weights=None, num_classes=CLASSES)
    for layer in theirs.modules():
        if isinstance(layer, nn.Dropout):
            layer.p = 0.0
        if isinstance(layer, nn.BatchNorm2d):
            layer.momentum = model.bn_momentum
    theirs.load_state_dict(ours.state_dict())
    return ours, theirs.to(memory_format=torch.channels_last)


def by_hand(model: nn.Module, batches: list[dict[str, Tensor]], settings: Train) -> Iterator[tuple[float, float]]:
    """Train without the loop, and yield (seconds, loss) of each step."""
    optimizer = torch.optim.AdamW(model.parameters(), lr=settings.lr, weight_decay=settings.weight_decay)
    model.train()
    for batch in batches:
        start = time.perf_counter()
        value = nn.functional.cross_entropy(model(batch["images"]), batch["labels"])
        optimizer.zero_grad()
        value.backward()
        optimizer.step()
        yield time.perf_counter() - start, value.item()


class InTurns:
    """Batches for `fit` that also run the other network's step, before or after each step of the loop.

    A step of the loop is over when the loop asks for the next batch.
    """

    def __init__(self, batches: list[dict[str, Tensor]], other: Iterator[tuple[float, float]]) -> None:
        self.batches, self.other = batches, other
        self.ours: list[float] = []
        self.theirs: list[tuple[float, float]] = []

    def __len__(self) -> int:
        return len(self.batches)

    def __iter__(self) -> Iterator[dict[str, Tensor]]:
        for number, batch in enumerate(self.batches):
            if number % 2:
                self.theirs.append(next(self.other))
            start = time.perf_counter()
            yield batch
            self.ours.append(time.perf_counter() - start)
            if not number % 2:
                self.theirs.append(next(self.other))


class Raced(NamedTuple):
    """Both sides of a race: seconds of each step, and how far the first losses differ."""

    ours: np.ndarray
    theirs: np.ndarray
    difference: float


def race(name: str, steps: int, batch_size: int, size: int) -> Raced:
    """Train a classifier and its peer in turns on images of random numbers; the first two pairs are left out."""
    with open("params.yaml") as file:
        params = YAML(typ="safe").load(file)
    settings = Train.model_validate({**params["train"], "optimizer": "adamw", "schedule": "constant", "epochs": 1})
    generator = torch.Generator().manual_seed(0)
    batches = [
        {
            "images": torch.randn(batch_size, 3, size, size, generator=generator).to(memory_format=torch.channels_last),
            "labels": torch.randint(CLASSES, (batch_size,), generator=generator),
        }
        for _ in range(steps)
    ]
    ours, theirs = networks(name, params)
    turns = InTurns(batches, by_hand(theirs, batches, settings))
    losses: list[Tensor] = []

    def step(net: nn.Module, batch: Any) -> dict[str, Tensor]:
        losses.append(loss(net(batch["images"]), batch["labels"], PLAIN))
        return {"loss": losses[-1]}

    fit(Run(Fabric(accelerator="cpu", devices=1), settings), ours, lambda _: turns, step)
    their_losses = [value for _, value in turns.theirs[:3]]
    difference = max(abs(float(our) - their) for our, their in zip(losses[:3], their_losses, strict=True))
    # The first pairs allocate memory.
    return Raced(np.array(turns.ours)[2:], np.array([taken for taken, _ in turns.theirs])[2:], difference)


def rows(setting: Setting) -> Iterator[Row]:
    """Yield the rows of `make bench`: one per classifier."""
    size = setting.size(96, 64)
    for name in plugins.names("classifiers"):
        raced = race(name, setting.size(22, 4), 16, size)
        note = f"first losses differ by {raced.difference:.1g}"
        yield row(f"{name}, training step, 16 images of {size} pixels", "plain torch", raced.ours, raced.theirs, note)


def main() -> None:
    """Print the times of both and their ratio, for each classifier."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--steps", type=int, default=30)
    parser.add_argument("--batch-size", type=int, default=16)
    parser.add_argument("--size", type=int, default=96)
    options = parser.parse_args()
    for name in plugins.names("classifiers"):
        raced = race(name, options.steps, options.batch_size, options.size)
        print(
            f"{name}: ours {np.median(raced.ours) * 1e3:.1f} ms per step, "
            f"by hand {np.median(raced.theirs) * 1e3:.1f} ms; median of the pairs' ratios "
            f"{np.median(raced.ours / raced.theirs):.3f}; first losses differ by {raced.difference:.1e}"
        )


if __name__ == "__main__":
    main()
