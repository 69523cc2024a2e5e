"""Small trainings for groups of processes (tests/training/together.py); the batches have 5 rows, or as is said.

Each function takes Fabric and a folder, and returns what its tests compare.
"""

from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
from lightning_fabric import Fabric
from torch import Tensor, nn

from src import plugins
from src.classification.training import train as train_classifier
from src.detection import running
from src.detection.training import train as train_detector
from src.errors import InputError
from src.files.boxed_images import BoxedImages
from src.files.prepared import write_prepared
from src.rcnn.finetune import RegionBatches
from src.rcnn.finetune_settings import Finetune
from src.rcnn.training import start as start_rcnn
from src.rcnn.training import train as train_rcnn
from src.rcnn.warp import Warp
from src.training import processes
from src.training.loop import Run, fit
from src.training.processes import average_gradients, averaged, together, weight
from tests.labelled import INPUT, RECIPE, digits
from tests.trained import CLASSES, content, encoded, scene
from tests.training.test_loop import SETTINGS

ROWS = 5
STEPS = SETTINGS.model_copy(
    update={"batch_size": ROWS, "epochs": 2, "batches_per_epoch": 2, "lr": 0.01, "best_by": "last", "grad_clip": 5.0}
)


class Network(nn.Module):
    """A network with BatchNorm of maps and of vectors, and with dropout."""

    def __init__(self, dropout: float = 0.4) -> None:
        super().__init__()
        self.body = nn.Sequential(nn.Conv2d(3, 6, 3, stride=2), nn.BatchNorm2d(6), nn.ReLU(), nn.Flatten())
        self.head = nn.Sequential(nn.Linear(54, 8), nn.BatchNorm1d(8), nn.Dropout(dropout), nn.Linear(8, 2))

    def forward(self, images: Tensor) -> Tensor:
        return self.head(self.body(images))


def rows(run: Run, batch: dict[str, Tensor]) -> dict[str, Tensor]:
    """Return this process's rows of a batch."""
    own = run.share.rows(len(batch["x"]))
    return {name: value[own.start : own.stop] for name, value in batch.items()}


def exact(fabric: Fabric, folder: Path) -> dict[str, Any]:
    """Train on 8 rows of small whole numbers, with rates that are powers of two: no operation rounds."""
    run = Run(fabric, STEPS.model_copy(update={"lr": 0.25, "schedule": "constant", "momentum": 0.0, "grad_clip": None}))
    net = nn.Linear(3, 1)
    nn.init.constant_(net.weight, 0.5)
    nn.init.zeros_(net.bias)
    generator = torch.Generator().manual_seed(0)
    values = torch.randint(-3, 4, (8, 3), generator=generator).float()
    batch = rows(run, {"x": values, "y": values.sum(1, keepdim=True)})

    def losses(model: nn.Module, batch: dict[str, Tensor]) -> dict[str, Tensor]:
        return {"loss": nn.functional.mse_loss(model(batch["x"]), batch["y"]) * weight(len(batch["x"]))}

    history = fit(run, net, lambda _: [batch], losses)
    return {"history": history, "weights": net.state_dict()}


def network(fabric: Fabric, folder: Path, dropout: float = 0.4, **more: Any) -> dict[str, Any]:
    """Train `Network` with an average, on weighted rows: the processes have different sums of weights."""
    settings = STEPS.model_copy(update={"ema_decay": 0.9, "best_by": "val", **more.pop("settings", {})})
    run = Run(fabric, settings, seed=1, **more)
    torch.manual_seed(0)
    net = Network(dropout)

    def batches(epoch: int) -> list[dict[str, Tensor]]:
        generator = torch.Generator().manual_seed(epoch)
        whole = [torch.randn(ROWS, 3, 8, 8, generator=generator) * 3 + 1 for _ in range(2)]
        return [rows(run, {"x": x, "y": (x.mean((1, 2, 3)) > 1).long()}) for x in whole]

    def losses(model: nn.Module, batch: dict[str, Tensor]) -> dict[str, Tensor]:
        each = nn.functional.cross_entropy(model(batch["x"]), batch["y"], reduction="none")
        counts = 1 + 3 * batch["y"]
        return {"a": (each * counts).sum() / averaged(counts.sum()), "b": 2 * each.mean() * weight(len(each))}

    validated: list[int] = []

    def validate(model: nn.Module) -> list[tuple[str, float]]:
        validated.append(fabric.global_rank)
        return [("val", float(model(torch.ones(2, 3, 8, 8, device=fabric.device)).sum()))]

    history = fit(run, net, batches, losses, validate=validate)
    return {"history": history, "weights": net.state_dict(), "validated": validated}


def frozen(fabric: Fabric, folder: Path) -> dict[str, Any]:
    """Train a part of a network in the first epoch, and all of it in the second."""
    run = Run(fabric, STEPS, seed=1)
    torch.manual_seed(0)
    net = Network()
    batch = rows(run, {"x": torch.randn(ROWS, 3, 8, 8, generator=torch.Generator().manual_seed(0))})

    def losses(model: nn.Module, batch: dict[str, Tensor]) -> dict[str, Tensor]:
        features = model.body(batch["x"])  # a part of the network, not the whole
        return {"loss": (model.head(features) ** 2).mean() * weight(len(batch["x"]))}

    def prepare(model: nn.Module, epoch: int) -> None:
        model.body.requires_grad_(epoch > 0)

    fit(run, net, lambda _: [batch], losses, prepare=prepare)
    return {"weights": net.state_dict()}


def gradients(fabric: Fabric, folder: Path) -> list[Tensor | None]:
    """Average gradients that one process, both or none has."""
    values = [nn.Parameter(torch.zeros(2, 3)) for _ in range(3)]
    rank = fabric.global_rank
    values[0].grad = torch.full((2, 3), 1.0 + rank)
    values[1].grad = None if rank else torch.full((2, 3), 4.0)
    average_gradients(values)
    return [value.grad for value in values]


def counts(fabric: Fabric, folder: Path) -> dict[str, Any]:
    """Exchange numbers within `together`; process r has r rows of r columns."""
    rank = fabric.global_rank
    torch.manual_seed(0)
    with together(fabric.device):
        return {
            "averaged": [averaged(rank), averaged(0, least=1), averaged(torch.tensor(rank)), averaged(2 * rank)],
            "rand": processes.rand(rank, 3),
            "widened": processes.widened(torch.ones(1, rank, 4)),
            "kept": processes.kept(torch.zeros(rank, 3), 0.5),
        }


def resumed(fabric: Fabric, folder: Path, name: str) -> dict[str, Any]:
    """Train one epoch with a checkpoint that stays, or go on from the one that is there."""
    state = folder / f"{name}.pt"
    epochs = 2 if state.exists() else 1
    return network(fabric, folder, settings={"epochs": epochs, "schedule": "constant"}, checkpoint=state)


fewer, more = partial(resumed, name="fewer"), partial(resumed, name="more")
uninterrupted = partial(network, settings={"schedule": "constant"})
apart = network
on_gpus = partial(network, dropout=0.0)  # a GPU draws in another order for another number of rows
APART, GPUS = ("apart",), ("on_gpus",)


def too_small(fabric: Fabric, folder: Path) -> str:
    """Load batches of a row for each process but one."""
    data = digits(folder / f"digits-{fabric.global_rank}.zip")
    settings = STEPS.model_copy(update={"batch_size": fabric.world_size - 1})
    try:
        train_classifier(Run(fabric, settings), nn.Linear(2, 2), [], data, data.ids("train"), [], RECIPE)
    except InputError as error:
        return str(error)
    return ""


AUGMENT = RECIPE.augment.model_copy(update={"rotate": 20.0, "flip": 0.5, "photometric": 0.5, "mixup": 0.4, "crop": 0.6})


def classifier(fabric: Fabric, folder: Path, name: str = "mobilenet_v3", **more: Any) -> dict[str, Any]:
    data = digits(folder / f"{name}-{fabric.world_size}-{fabric.global_rank}.zip")
    module, section = plugins.section("classifiers", content()["classifiers"], name)
    torch.manual_seed(0)
    model = module.build(10, section.model)
    recipe = RECIPE.model_copy(update={"input": INPUT, **more})
    history = train_classifier(Run(fabric, STEPS, seed=2), model, [], data, data.ids("train"), data.ids("val"), recipe)
    return {"history": history, "weights": model.state_dict()}


mobilenet = partial(classifier, augment=AUGMENT)
resnet = partial(
    classifier,
    name="resnet50",
    loss=RECIPE.loss.model_copy(update={"balanced": True, "label_smoothing": 0.1, "focal_gamma": 1.5}),
)


def scenes(path: Path) -> BoxedImages:
    """Write nine scenes of different sizes; one has no object, and one a difficult one."""
    images: dict[str, Any] = {}
    contents = []
    for number in range(9):
        height, width = 70 + 9 * number, 140 - 7 * number
        boxes = [[width / 3 - 14, height / 2 - 14, width / 3 + 14, height / 2 + 14]]
        boxes += [[width // 2, height // 4, width - 8, height - 10]] * (number % 3 > 0)
        boxes = [] if number == 4 else boxes
        labels = [1, 2][: len(boxes)]
        entry = {"boxes": boxes, "labels": labels, "difficult": [number == 6] * len(boxes)}
        images[str(number)] = {"file": f"{number}.png", "height": height, "width": width, **entry}
        contents.append((f"{number}.png", encoded(scene(height, width, seed=number))))
    write_prepared(path, CLASSES, {"train": list(images)}, images, contents)
    return BoxedImages(path)


def proposed(data: BoxedImages, image_ids: list[str]) -> dict[str, np.ndarray]:
    """Return proposals: some near the objects, others anywhere; images have different numbers of them."""
    found = {}
    for image_id in image_ids:
        rng = np.random.default_rng(int(image_id))
        height, width = data.size(image_id)
        corners = rng.random((10 + 3 * int(image_id), 2, 2)) * [width, height]
        boxes = np.concatenate([corners.min(1), corners.max(1)], axis=1)
        near = np.repeat(data.target(image_id)["boxes"], 4, axis=0)
        found[image_id] = np.concatenate([near + rng.uniform(-3, 3, near.shape), boxes]).clip(0, [width, height] * 2)
    return found


def detector(fabric: Fabric, folder: Path, name: str, changes: dict[str, Any], epochs: int = 1) -> dict[str, Any]:
    data = scenes(folder / f"{name}-{fabric.world_size}-{fabric.global_rank}.zip")
    sections = content()["detectors"]
    for part, values in changes.items():
        sections[name][part].update(values)
    module, section = plugins.section("detectors", sections, name)
    ids = data.ids("train")
    boxes = proposed(data, ids) if running.takes_proposals(module) else None
    model, fresh = running.start(module, section, data.num_classes, {}, seed=0)
    run = Run(fabric, STEPS.model_copy(update={"epochs": epochs}), seed=3)
    history = train_detector(run, model, fresh, data, ids, ids[:2], module, section, boxes)
    return {"history": history, "weights": model.state_dict()}


PADDED = {"size": 96, "longest": 128}
ssd = partial(detector, name="ssd300", changes={"model": {"size": 128}})
rpn = partial(detector, name="rpn", changes={"model": PADDED})
fast = partial(detector, name="fast_rcnn", changes={"model": PADDED})
stage_wise = partial(detector, name="fast_rcnn", changes={"model": PADDED, "loss": {"stage_wise": [1, 1]}}, epochs=2)
faster = partial(detector, name="faster_rcnn", changes={"model": PADDED})


def rcnn(fabric: Fabric, folder: Path, **changes: Any) -> dict[str, Any]:
    """Fine-tune AlexNet's layers on warped regions of 8 per batch, or on their pool5."""
    data = scenes(folder / f"rcnn-{fabric.world_size}-{fabric.global_rank}.zip")
    params = content()
    rules = Finetune.model_validate({**params["finetune"], "hidden": 16, "weights": "imagenet", **changes})
    settings, ids = Warp.model_validate({**params["warp"], "size": 67}), data.ids("train")
    records = {name: {"boxes": boxes.astype(np.float32)} for name, boxes in proposed(data, ids).items()}
    model, fresh = start_rcnn(rules, data.num_classes, {}, 0)
    regions = RegionBatches(data, ids, records, rules, settings, batch_size=8, num_batches=4, seed=4, flip=True)
    checkpoint = folder / f"described-{fabric.world_size}.pt"
    run = Run(fabric, STEPS.model_copy(update={"batch_size": 8}), seed=4, checkpoint=checkpoint)
    history = train_rcnn(run, model, fresh, regions, None, rules)
    return {"history": history, "weights": model.state_dict()}


described = partial(rcnn, train_convolutions=False)

# Trainings in double precision, in which rounding hides no mistake. Those of regions have parts in single precision.
DOUBLE = ("ssd", "rpn", "mobilenet", "resnet", "rcnn")
