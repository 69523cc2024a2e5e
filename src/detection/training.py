"""Train a dense detector: batches, loss, validation."""

import math
from collections.abc import Iterator, Mapping, Sequence
from types import ModuleType
from typing import Any

import numpy as np
from torch import Tensor, nn

from src.detection.batches import DetectionBatches
from src.detection.running import forward, measure
from src.detection.sizes import size_of
from src.detection.steps import in_steps
from src.errors import InputError
from src.evaluation.average_precision import mean_ap, voc07, voc_curves
from src.files.boxed_images import BoxedImages
from src.files.records import Record
from src.training.loading import Batches
from src.training.loop import Run, fit
from src.training.optimizers import parameter_groups
from src.training.progress import Row

VAL_MAP = "val_map"  # value of `best_by`; for detectors that distinguish classes
NO_DETECTIONS: Record = {"boxes": np.zeros((0, 4)), "labels": np.zeros(0, np.int64), "scores": np.zeros(0)}
ONE_VALUE = "more than 1 value per channel"  # of the ValueError of PyTorch's BatchNorm


def train(
    run: Run,
    model: nn.Module,
    fresh: Sequence[str],
    data: BoxedImages,
    image_ids: Sequence[str],
    held_out: Sequence[str],
    module: ModuleType,
    section: Any,
    proposals: Mapping[str, np.ndarray] | None = None,
) -> list[Row]:
    """Train the network in place and return a row of figures per epoch; those of validation begin with `val_`.

    Args:
        run: device, settings, seed, workers and checkpoint. If `best_by` is `val_map`, the mAP of the validation images
            is computed (`average_precision`), with the section's `decode`; it costs a decoding of all of them.
        model: the network.
        fresh: layers that start at random while others are pretrained; they learn at `new_layer_lr` times the rate.
        data: the images.
        image_ids: the images to train on.
        held_out: the images to validate on; without any, the last epoch's weights are kept.
        module: the detector's file.
        section: the detector's parameters.
        proposals: boxes [N, 4] by image id, in pixels of the image, of a detector that takes them.

    Raises:
        InputError: a batch is one image, whose smallest map gives BatchNorm one value; or `best_by` is `val_map` and no
            image to validate on has an object.
    """
    size, batch_size = size_of(section.model), run.settings.batch_size
    training = DetectionBatches(
        data,
        image_ids,
        size,
        section.augment,
        batch_size=batch_size,
        seed=run.seed,
        batches_per_epoch=run.settings.batches_per_epoch,
        proposals=proposals,
    )
    loader, validation = run.loader(training), None
    if held_out:
        if run.settings.best_by == VAL_MAP:
            average_precision(dict.fromkeys(held_out, NO_DETECTIONS), data)  # else an epoch would pass before its error
        fixed = DetectionBatches(data, held_out, size, batch_size=batch_size, seed=run.seed, proposals=proposals)
        validation = run.loader(fixed, whole=True)

    def batches(epoch: int) -> Batches:
        return loader.load(training.epoch(epoch))

    def losses(net: nn.Module, batch: dict[str, Any]) -> dict[str, Tensor]:
        try:
            outputs = forward(module, net, batch, section, learning=True)
        except ValueError as error:
            if ONE_VALUE not in str(error):
                raise
            raise InputError(
                f"train.batch_size = {batch_size} with {len(image_ids)} training images: BatchNorm cannot learn from "
                "batches of one image, whose smallest feature map is one cell; use 2 or more of both"
            ) from error
        named: dict[str, Tensor] = module.loss(outputs, batch["targets"], section.loss)
        return named

    def validate(net: nn.Module) -> Iterator[tuple[str, float]]:
        assert validation is not None
        detections: dict[str, Record] | None = {} if run.settings.best_by == VAL_MAP else None
        for name, value in measure(module, net, section, validation, detections).items():
            yield f"val_{name}", value
        if detections is not None:
            yield VAL_MAP, average_precision(detections, data)

    steps = in_steps(module, model, section.loss, run.settings.epochs)
    if steps is not None:
        model, fresh = steps, steps.layers(fresh)
    return fit(
        run,
        model,
        batches,
        losses,
        validate=validate if validation else None,
        groups=parameter_groups(model, fresh, section.new_layer_lr, run.settings),
        prepare=None if steps is None else lambda net, epoch: net.enter(epoch),  # type: ignore[operator]
    )


def average_precision(detections: Mapping[str, Record], data: BoxedImages) -> float:
    """Compute the mAP of detections on their images as in `map_voc07`: IoU 0.5, mean over the classes that occur.

    Raises:
        InputError: no image has an object that is not difficult, so there is no mAP.
    """
    targets = {image_id: data.target(image_id) for image_id in detections}
    value = mean_ap(map(voc07, voc_curves(detections, targets, data.classes).values()))
    if math.isnan(value):
        raise InputError(f"{data.path}: no validation image has an object, so there is no {VAL_MAP}: use val_loss")
    return value
