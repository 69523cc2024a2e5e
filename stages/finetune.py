"""Fine-tune the network on warped regions (R-CNN Sec. 2.3)."""

from collections.abc import Iterator
from pathlib import Path

import pandas as pd
import torch
from lightning_fabric import Fabric
from torch import nn
from torch.utils.data import DataLoader, Subset

from src.files.boxed_images import Samples
from src.files.records import read_records
from src.files.storage import write_csv, write_json
from src.files.weights import read_tensors, write_tensors
from src.networks import starting_weights
from src.params import Sections, Seed
from src.rcnn import network
from src.rcnn.finetune import Finetune, RegionBatches, crops, region_loss
from src.rcnn.warp import Warp
from src.splits import Splits
from src.training.loop import Batches, fit, kept_row
from src.training.settings import Train
from stages.checkpoint import checkpoint
from stages.command import command
from stages.environment import computed_by, device, workers


class Params(Sections):
    """What this stage reads of params.yaml."""

    seed: Seed
    splits: Splits
    warp: Warp
    train: Train
    finetune: Finetune


def run(
    params: Params, *, samples: Path, proposals: Path, weights: Path, out: Path, metrics: Path, curve: Path
) -> None:
    """Write the network's weights, the figures of the epoch that is kept, and those of every epoch."""
    data = Samples(samples)
    rules, settings = params.finetune, params.finetune.train.over(params.train)
    fabric = Fabric(accelerator=device().partition(":")[0], devices=1, precision=settings.precision)
    torch.manual_seed(params.seed)
    model = network.build(rules.backbone, data.num_classes, pool=rules.pool, hidden=rules.hidden, dropout=rules.dropout)
    fresh = _start(model, weights)
    model.get_submodule("features").requires_grad_(rules.train_convolutions)

    def regions(split: str, num_batches: int, *, flip: bool) -> RegionBatches:
        ids = data.ids(split)
        found = read_records(proposals, ids)
        return RegionBatches(
            data,
            ids,
            found,
            rules,
            batch_size=settings.batch_size,
            num_batches=num_batches,
            seed=params.seed,
            flip=flip,
        )

    train = regions(params.splits.finetune, settings.epochs * rules.batches_per_epoch, flip=rules.flip)
    print(f"{len(train.objects)} object and {len(train.backgrounds)} background regions to draw from")

    def batches(epoch: int) -> Batches:
        first = epoch * rules.batches_per_epoch
        return DataLoader(
            Subset(train, range(first, first + rules.batches_per_epoch)), batch_size=None, num_workers=workers()
        )

    validation = params.splits.validation
    held_out = regions(validation, rules.batches_per_epoch // 8 + 1, flip=False) if validation else None
    history = fit(
        fabric,
        model,
        batches,
        lambda net, batch: region_loss(net, batch, params.warp),
        settings,
        validate=None if held_out is None else lambda net: _accuracy(fabric, net, held_out, params),
        groups=starting_weights.groups(model, fresh, rules.new_layer_lr),
        seed=params.seed,
        checkpoint=checkpoint("finetune", params.model_dump(), [samples, proposals, weights]),
    )
    write_tensors(
        out,
        model.state_dict(),
        {"backbone": rules.backbone, "pool": rules.pool, "hidden": rules.hidden, "classes": data.classes},
    )
    counts = {"object_regions": len(train.objects), "background_regions": len(train.backgrounds)}
    write_json(metrics, {**kept_row(history, settings), **counts, "arithmetic": computed_by()})
    write_csv(curve, pd.DataFrame(history, columns=None if history else ["epoch", "loss"]))


def _start(model: nn.Module, weights: Path) -> list[str]:
    """Load what weights there are; return the layers that start at random although others do not."""
    tensors, facts = read_tensors(weights)
    if not tensors:
        print("all layers start at random")
        return []
    fresh = starting_weights.load(model, tensors, "finetune.weights")
    print(f"weights: {facts['source']}; these layers start at random: {', '.join(fresh) or 'none'}")
    return fresh


def _accuracy(fabric: Fabric, model: nn.Module, data: RegionBatches, params: Params) -> Iterator[tuple[str, float]]:
    """Accuracy on fixed batches of the validation images, beside that of always saying background."""
    right = background = total = 0
    for index in range(len(data)):
        batch = fabric.to_device(data[index])
        right += int((model(crops(batch, params.warp)).argmax(1) == batch["labels"]).sum())
        background += int((batch["labels"] == 0).sum())
        total += len(batch["labels"])
    yield "val_accuracy", right / total
    yield "val_accuracy_always_background", background / total


if __name__ == "__main__":
    command(run)
