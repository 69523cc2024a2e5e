"""Train a dense detector on whole images."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pandas as pd
from lightning_fabric import Fabric
from torch import nn
from torch.utils.data import DataLoader, Subset

from src.detection.augmentation import Augment
from src.detection.batches import DetectionBatches
from src.detection.running import measure, section_of, start
from src.files.boxed_images import Samples
from src.files.storage import write_csv, write_json
from src.files.weights import read_tensors, write_tensors
from src.networks import starting_weights
from src.params import Sections, Seed
from src.splits import Splits
from src.training.loop import Batches, fit, kept_row
from src.training.settings import Train
from stages.checkpoint import checkpoint
from stages.command import command
from stages.environment import computed_by, device, workers


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
            section.model.size,
            augment,
            batch_size=settings.batch_size,
            seed=params.seed,
        )

    train = images(params.splits.detectors, section.augment)
    held_out = images(params.splits.validation, None) if params.splits.validation else None

    def batches(epoch: int) -> Batches:
        return DataLoader(Subset(train, train.epoch(epoch)), batch_size=None, num_workers=workers())

    def validate(net: nn.Module) -> Iterator[tuple[str, float]]:
        assert held_out is not None
        for name, value in measure(module, net, section, held_out, fabric.device).items():
            yield f"val_{name}", value

    trained = section.model_dump(exclude={"decode"})
    computed = {**params.model_dump(exclude={"detectors"}), "detector": trained}
    history = fit(
        fabric,
        model,
        batches,
        lambda net, batch: module.loss(net(batch["images"]), batch["targets"], section.loss),
        settings,
        validate=validate if held_out else None,
        groups=starting_weights.groups(model, fresh, section.new_layer_lr),
        seed=params.seed,
        checkpoint=checkpoint(detector, computed, [samples, weights]),
    )
    kept = kept_row(history, settings)
    write_tensors(out, model.state_dict(), {"detector": detector, "model": trained["model"], "classes": data.classes})
    write_json(metrics, {**kept, "arithmetic": computed_by()})
    write_csv(curve, pd.DataFrame(history, columns=None if history else ["epoch", "loss"]))


if __name__ == "__main__":
    command(run)
