"""Teach R-CNN's network to tell labelled images apart: what it starts from where there are no ImageNet weights.

The idea is that of a tutorial (yangxue0827/RCNN) which begins with 17 kinds of flowers. It is done only where
`finetune.weights: pretrained` asks for it; any other network of `finetune.backbone` is taught the same way.
"""

from pathlib import Path

import torch
from lightning_fabric import Fabric
from torch import nn

from src.classification.params import Input, Pretrain, Recipe
from src.classification.running import TRAIN, VALIDATION, start
from src.classification.training import train
from src.files.labelled_images import LabelledImages
from src.files.storage import write_json
from src.files.weights import write_tensors
from src.params import Sections, Seed
from src.rcnn import network
from src.rcnn.finetune import PRETRAINED, Finetune
from src.rcnn.warp import Warp
from src.training.loop import kept_row
from src.training.settings import Train
from stages.checkpoint import checkpoint
from stages.command import command
from stages.environment import computed_by, device, workers


class Params(Sections):
    """What this stage reads of params.yaml."""

    seed: Seed
    warp: Warp
    train: Train
    finetune: Finetune
    pretrain_alexnet: Pretrain


def run(params: Params, *, images: Path, out: Path, metrics: Path) -> None:
    """Write the network's weights but for those of its last layer, and the figures of the epoch that is kept."""
    if params.finetune.weights != PRETRAINED:
        write_tensors(out, {}, {"source": "none"})
        write_json(metrics, {"epoch": 0})
        print(f"not asked for: finetune.weights is {params.finetune.weights}")
        return
    data, rules, section = LabelledImages(images), params.finetune, params.pretrain_alexnet
    settings = section.train.over(params.train)
    fabric = Fabric(accelerator=device().partition(":")[0], devices=1, precision=settings.precision)
    model, _ = start(lambda: _network(rules, len(data.classes), section.dropout), {}, "", params.seed)
    size = [params.warp.size] * 2  # of the regions that come later, for which fc6 has its width
    recipe = Recipe(
        input=Input(size=size, mean=None, std=None),
        augment=section.augment,
        loss=section.loss,
        new_layer_lr=1.0,
        freeze_epochs=0,
    )
    history = train(
        fabric,
        model,
        [],
        data,
        data.ids(TRAIN),
        data.ids(VALIDATION),
        recipe,
        settings,
        seed=params.seed,
        workers=workers(),
        checkpoint=checkpoint("pretrain_alexnet", params.model_dump(), [images]),
    )
    kept = kept_row(history, settings)
    write_tensors(out, _without_last(model), {"source": f"{PRETRAINED} on {section.data}"})
    write_json(metrics, {**kept, "arithmetic": computed_by()})


def _network(rules: Finetune, num_classes: int, dropout: float) -> nn.Module:
    return network.build(rules.backbone, num_classes, pool=rules.pool, hidden=rules.hidden, dropout=dropout)


def _without_last(model: nn.Module) -> dict[str, torch.Tensor]:
    """Weights by name; fc8's belong to the classes of these images, and would fit other classes of the same number."""
    last = f"classifier.{len(model.get_submodule('classifier')) - 1}."  # type: ignore[arg-type]
    return {name: value for name, value in model.state_dict().items() if not name.startswith(last)}


if __name__ == "__main__":
    command(run)
