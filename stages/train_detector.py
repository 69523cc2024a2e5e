"""Train a dense detector on whole images."""

from pathlib import Path
from typing import Any

from src import plugins
from src.files.boxed_images import BoxedImages
from src.files.versions import made_by
from src.files.weights import read_tensors
from src.params import Sections, Seed
from src.splits import Splits
from src.training.settings import Train
from stages.command import command
from stages.environment import checkpoint, computed_by, workers
from stages.fabric import fabric


class Params(Sections):
    """The sections that this stage reads; of `detectors` it uses only the detector's own part."""

    seed: Seed
    splits: Splits
    train: Train
    detectors: dict[str, Any]


def run(
    params: Params,
    *,
    detector: str,
    images: Path,
    weights: Path,
    out: Path,
    metrics: Path,
    curve: Path,
    proposals: Path | None = None,
) -> None:
    """Write the network's weights, the figures of the epoch that is kept, and those of every epoch."""
    from src.detection.running import read_proposals, start
    from src.detection.training import VAL_MAP, train
    from src.training.loop import Run
    from src.training.outputs import write_training

    data, (module, section) = BoxedImages(images), plugins.section("detectors", params.detectors, detector)
    settings: Train = section.train.over(params.train)
    tensors, facts = read_tensors(weights)
    model, fresh = start(module, section, data.num_classes, tensors, params.seed)
    print(f"weights: {facts['source']}; {sum(value.numel() for value in model.parameters())} parameters")
    trained = section.model_dump(exclude=set() if settings.best_by == VAL_MAP else {"decode"})
    computed = {**params.model_dump(exclude={"detectors"}), "detector": trained}
    ids = data.ids(params.splits.detectors)
    held_out = data.ids(params.splits.validation) if params.splits.validation else []
    boxes = read_proposals(module, proposals, [*ids, *held_out])
    state = checkpoint(detector, computed, [images, weights, *([proposals] if proposals else [])])
    training = Run(fabric(settings.precision), settings, params.seed, workers(), state)
    history = train(training, model, fresh, data, ids, held_out, module, section, boxes)
    write_training(
        model,
        history,
        training,
        facts={"detector": detector, "model": trained["model"], "classes": data.classes},
        figures=made_by(computed_by()),
        columns=["epoch", "loss"],
        out=out,
        metrics=metrics,
        curve=curve,
    )


if __name__ == "__main__":
    command(run, trains=True)
