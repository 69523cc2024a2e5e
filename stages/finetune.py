"""Fine-tune R-CNN's network on warped regions (R-CNN Sec. 2.3)."""

from functools import partial
from pathlib import Path

from src.files.boxed_images import BoxedImages
from src.files.records import read_records
from src.files.versions import made_by
from src.files.weights import read_tensors
from src.params import Sections, Seed
from src.rcnn.finetune_settings import Finetune
from src.rcnn.warp import Warp
from src.splits import Splits
from src.training.settings import Train
from stages.command import command
from stages.environment import checkpoint, computed_by, jobs, workers
from stages.fabric import fabric


class Params(Sections):
    """The sections that this stage reads."""

    seed: Seed
    splits: Splits
    warp: Warp
    train: Train
    finetune: Finetune


def run(params: Params, *, images: Path, proposals: Path, weights: Path, out: Path, metrics: Path, curve: Path) -> None:
    """Write the network's weights, the figures of the epoch that is kept, and those of every epoch."""
    from src.rcnn.finetune import RegionBatches
    from src.rcnn.training import start, train
    from src.training.loop import Run
    from src.training.outputs import write_training

    data, rules, settings = BoxedImages(images), params.finetune, params.finetune.train.over(params.train)
    tensors, facts = read_tensors(weights)
    model, fresh = start(rules, data.num_classes, tensors, params.seed)
    print(f"weights: {facts['source']}; start at random: {', '.join(fresh) or ('none' if tensors else 'all layers')}")
    batches = partial(
        RegionBatches, data, rules=rules, settings=params.warp, batch_size=settings.batch_size, seed=params.seed
    )
    ids = data.ids(params.splits.finetune)
    per_epoch = settings.batches_per_epoch
    assert per_epoch is not None  # `Finetune` refuses null
    num_batches = settings.epochs * per_epoch
    regions = batches(ids, read_records(proposals, ids), num_batches=num_batches, flip=rules.flip)
    held_out = None
    if params.splits.validation:
        ids = data.ids(params.splits.validation)
        num_batches = per_epoch // 8 + 1
        held_out = batches(ids, read_records(proposals, ids), num_batches=num_batches, flip=False)
    print(f"{len(regions.objects)} object and {len(regions.backgrounds)} background regions to choose from")
    state = checkpoint("finetune", params.model_dump(), [images, proposals, weights])
    training = Run(fabric(settings.precision), settings, params.seed, workers(), state)
    history = train(training, model, fresh, regions, held_out, rules, jobs())
    counts = {"object_regions": len(regions.objects), "background_regions": len(regions.backgrounds)}
    write_training(
        model,
        history,
        training,
        facts={"backbone": rules.backbone, "pool": rules.pool, "hidden": rules.hidden, "classes": data.classes},
        figures={**counts, **made_by(computed_by())},
        columns=["epoch", "loss"],
        out=out,
        metrics=metrics,
        curve=curve,
    )


if __name__ == "__main__":
    command(run, trains=True)
