"""Train a dense detector on whole images."""

from collections.abc import Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

import pandas as pd
from lightning_fabric import Fabric
from torch import nn
from torch.utils.data import DataLoader, Subset

from src import pretrained
from src.augmentation import Augment, transform
from src.detection import section_of, start
from src.detection_batches import DetectionBatches
from src.params import Sections, Seed, Splits, Train
from src.samples import Samples
from src.storage import read_tensors, write_csv, write_json, write_tensors
from src.training import Batches, fingerprint, fit, kept_row
from stages.command import command
from stages.environment import device, workers


class Params(Sections):
    """What this stage reads of params.yaml; of `detectors` the detector's own section."""

    seed: Seed
    splits: Splits
    train: Train
    detectors: dict[str, Any]


def run(params: Params, *, detector: str, samples: Path, weights: Path, out: Path, metrics: Path, curve: Path) -> None:
    """Write the network's weights, the figures of the epoch that is kept, and those of every epoch."""
    data, (module, section) = Samples(samples), section_of(params.detectors, detector)
    settings: Train = section.train.over(params.train)
    fabric = Fabric(accelerator=device().partition(":")[0], devices=1, precision=settings.precision)
    tensors, facts = read_tensors(weights)
    model, fresh = start(module, section, data.num_classes, tensors, params.seed)
    print(f"weights: {facts['source']}; {sum(value.numel() for value in model.parameters())} parameters")

    def images(split: str, augment: Augment | None) -> DetectionBatches:
        return DetectionBatches(
            data,
            data.ids(split),
            transform(section.model.size, augment),
            batch_size=settings.batch_size,
            seed=params.seed,
            shuffle=augment is not None,
        )

    train = images(params.splits.finetune, section.augment)
    held_out = images(params.splits.validation, None) if params.splits.validation else None

    def batches(epoch: int) -> Batches:
        return DataLoader(Subset(train, train.epoch(epoch)), batch_size=None, num_workers=workers())

    trained = section.model_dump(exclude={"decode"})
    history = fit(
        fabric,
        model,
        batches,
        lambda net, batch: module.loss(net(batch["images"]), batch["targets"], section.loss),
        settings,
        validate=None if held_out is None else lambda net: _validate(fabric, net, held_out, module, section),
        best_by=None if held_out is None else "val_loss",
        groups=pretrained.groups(model, fresh, section.new_layer_lr),
        seed=params.seed,
        checkpoint=Path(".checkpoints")
        / f"{detector}-{fingerprint({**params.model_dump(exclude={'detectors'}), **trained}, [samples, weights])}.pt",
    )
    kept = kept_row(history, "val_loss" if held_out else None)
    write_tensors(out, model.state_dict(), {"detector": detector, "model": trained["model"], "classes": data.classes})
    write_json(metrics, kept)
    write_csv(curve, pd.DataFrame(history, columns=None if history else ["epoch", "loss"]))


def _validate(
    fabric: Fabric, model: nn.Module, data: DetectionBatches, module: ModuleType, section: Any
) -> Iterator[tuple[str, float]]:
    """Losses on the validation images, and what the detector's `count` and `figures` make of them, if it has these."""
    losses: dict[str, float] = {}
    counts: dict[str, float] = {}
    for index in data.epoch(0):
        batch = fabric.to_device(data[index])
        outputs = model(batch["images"])
        share = len(batch["ids"]) / len(data.image_ids)
        for name, value in module.loss(outputs, batch["targets"], section.loss).items():
            losses[name] = losses.get(name, 0.0) + float(value) * share
        if hasattr(module, "count"):
            for name, value in module.count(outputs, batch["targets"], section.loss).items():
                counts[name] = counts.get(name, 0.0) + float(value)
    yield "val_loss", sum(losses.values())
    for name, value in losses.items():
        yield f"val_{name}", value
    if counts:
        for name, value in module.figures(counts).items():
            yield f"val_{name}", value


if __name__ == "__main__":
    command(run)
