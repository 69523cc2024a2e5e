"""Pretrain R-CNN's network on labelled images, as a start without ImageNet weights.

The idea is from a tutorial (yangxue0827/RCNN), which begins with 17 kinds of flowers. The stage trains only if
`finetune.weights` is `pretrained`; any other network of `finetune.backbone` is pretrained in the same way.
"""

from pathlib import Path

from src.classification.params import Pretrain
from src.files.labelled_images import LabelledImages
from src.files.storage import write_json
from src.files.versions import made_by
from src.files.weights import write_tensors
from src.params import Sections, Seed
from src.rcnn.finetune_settings import PRETRAINED, Finetune
from src.rcnn.warp import Warp
from src.training.settings import Train
from stages.command import command
from stages.environment import checkpoint, computed_by, workers
from stages.fabric import fabric
from stages.group import is_first


class Params(Sections):
    """The sections that this stage reads."""

    seed: Seed
    warp: Warp
    train: Train
    finetune: Finetune
    pretrain_alexnet: Pretrain


def run(params: Params, *, images: Path, out: Path, metrics: Path) -> None:
    """Write the network's weights except those of its last layer, and the figures of the epoch that is kept."""
    from src.classification.running import TRAIN, VALIDATION
    from src.classification.training import train
    from src.rcnn import pretraining
    from src.training.loop import Run, kept_row

    if params.finetune.weights != PRETRAINED:
        if is_first():
            write_tensors(out, {}, {"source": "none"})
            write_json(metrics, {"epoch": 0})
        print(f"nothing to do: finetune.weights is {params.finetune.weights}")
        return
    data, section = LabelledImages(images), params.pretrain_alexnet
    settings = section.train.over(params.train)
    model = pretraining.start(params.finetune, section, len(data.classes), params.seed)
    state = checkpoint("pretrain_alexnet", params.model_dump(), [images])
    training = Run(fabric(settings.precision), settings, params.seed, workers(), state)
    history = train(
        training,
        model,
        [],
        data,
        data.ids(TRAIN),
        data.ids(VALIDATION),
        pretraining.recipe(section, params.warp),
    )
    if is_first():
        write_tensors(out, pretraining.without_last(model), {"source": f"{PRETRAINED} on {section.data}"})
        write_json(metrics, {**kept_row(history, settings), **made_by(computed_by())})
    training.forget()


if __name__ == "__main__":
    command(run, trains=True)
