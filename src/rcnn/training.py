"""Train R-CNN's network on warped regions (R-CNN Sec. 2.3): start, batches, loss, validation."""

import os
import tempfile
from collections.abc import Iterator, Sequence
from functools import partial
from pathlib import Path

import torch
from lightning_fabric import Fabric
from torch import Tensor, nn

from src.networks import starting_weights
from src.rcnn import network
from src.rcnn.described_batches import DescribedBatches
from src.rcnn.extract import extract
from src.rcnn.finetune import RegionBatches, logits_of, region_loss
from src.rcnn.finetune_settings import Finetune
from src.training.loading import Batches
from src.training.loop import Run, fit
from src.training.optimizers import parameter_groups
from src.training.progress import Row

BATCH_SIZE = 128  # of the regions that are described before the training; it changes only the speed


def start(rules: Finetune, num_classes: int, weights: dict[str, Tensor], seed: int) -> tuple[nn.Module, list[str]]:
    """Build the network, and list the layers that start at random while others are pretrained.

    Args:
        rules: the section `finetune`.
        num_classes: including background.
        weights: weights by name; weights that do not fit are left out. Without any, all layers start at random.
        seed: seed of the random values.
    """
    torch.manual_seed(seed)
    model = network.build(rules.backbone, num_classes, pool=rules.pool, hidden=rules.hidden, dropout=rules.dropout)
    fresh = starting_weights.load(model, weights, "finetune.weights") if weights else []
    model.get_submodule("features").requires_grad_(rules.train_convolutions)
    return model, fresh


def train(
    run: Run,
    model: nn.Module,
    fresh: Sequence[str],
    regions: RegionBatches,
    held_out: RegionBatches | None,
    rules: Finetune,
    jobs: int = 1,
) -> list[Row]:
    """Train the network in place and return a row of figures per epoch; those of validation begin with `val_`.

    Args:
        run: device, settings, seed, workers and checkpoint.
        model: the network.
        fresh: layers that start at random while others are pretrained; they learn at `new_layer_lr` times the rate.
        regions: the batches, of which each epoch takes the next `train.batches_per_epoch`.
        held_out: the batches to validate on; None keeps the last epoch's weights.
        rules: the section `finetune`. If the convolutions stand still, all regions are described before the training.
        jobs: number of processes that describe them on a CPU.
    """
    taught: RegionBatches | DescribedBatches = regions
    tested: RegionBatches | DescribedBatches | None = held_out
    if not rules.train_convolutions:
        taught = _described(run, model, regions, "pool5", rules.map_side, jobs)
        tested = held_out and _described(run, model, held_out, "val_pool5", rules.map_side, jobs)
    history = _fit(run, model, fresh, taught, tested, rules)
    for part in (taught, tested):
        if isinstance(part, DescribedBatches):
            part.path.unlink(missing_ok=True)  # another process of this machine may be the first
    return history


def _described(
    run: Run, model: nn.Module, regions: RegionBatches, kind: str, map_side: int | None, jobs: int
) -> DescribedBatches:
    """Describe the regions of batches; a training that goes on finds the file beside its checkpoint.

    Of several processes the first one describes them, and the first of each other machine that has not got the file.
    """
    place = run.checkpoint or Path(tempfile.gettempdir()) / f"finetune-{os.getpid()}.pt"
    device = run.fabric.device
    describe = partial(
        extract,
        model,
        regions.data,
        layer="pool5",
        settings=regions.settings,
        map_side=map_side,
        batch_size=BATCH_SIZE,
        device=device,
        jobs=jobs,
        workers=0 if device.type == "cpu" else run.workers,
        remedy="lower finetune.train.epochs or batches_per_epoch",
    )
    return run.in_turn(lambda: DescribedBatches(regions, place.with_suffix(f".{kind}.npy"), describe))


def _fit(
    run: Run,
    model: nn.Module,
    fresh: Sequence[str],
    regions: RegionBatches | DescribedBatches,
    held_out: RegionBatches | DescribedBatches | None,
    rules: Finetune,
) -> list[Row]:
    loader, count = run.loader(regions), run.settings.batches_per_epoch
    assert count is not None  # `Finetune` refuses null

    def batches(epoch: int) -> Batches:
        return loader.load(range(epoch * count, (epoch + 1) * count))

    return fit(
        run,
        model,
        batches,
        region_loss,
        validate=None if held_out is None else lambda net: _accuracy(run.fabric, net, held_out),
        groups=parameter_groups(model, fresh, rules.new_layer_lr, run.settings),
    )


def _accuracy(fabric: Fabric, model: nn.Module, data: RegionBatches | DescribedBatches) -> Iterator[tuple[str, float]]:
    """Yield the accuracy on fixed batches of validation images, and that of background as a constant answer."""
    right = background = total = 0
    for index in range(len(data)):
        batch = fabric.to_device(data[index])
        right += int((logits_of(model, batch).argmax(1) == batch["labels"]).sum())
        background += int((batch["labels"] == 0).sum())
        total += len(batch["labels"])
    yield "val_accuracy", right / total
    yield "val_accuracy_always_background", background / total
