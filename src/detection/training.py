"""Train a dense detector: batches, loss, validation."""

from collections.abc import Iterator, Sequence
from types import ModuleType
from typing import Any

from torch import Tensor, nn

from src.detection.batches import DetectionBatches
from src.detection.running import measure
from src.detection.sizes import size_of
from src.files.boxed_images import BoxedImages
from src.training.loop import Batches, Row, Run, fit
from src.training.optimizers import parameter_groups


def train(
    run: Run,
    model: nn.Module,
    fresh: Sequence[str],
    data: BoxedImages,
    image_ids: Sequence[str],
    held_out: Sequence[str],
    module: ModuleType,
    section: Any,
) -> list[Row]:
    """Train the network in place and return a row of figures per epoch; those of validation begin with `val_`.

    Args:
        run: device, settings, seed, workers and checkpoint.
        model: the network.
        fresh: layers that start at random while others are pretrained; they learn at `new_layer_lr` times the rate.
        data: the images.
        image_ids: the images to train on.
        held_out: the images to validate on; without any, the last epoch's weights are kept.
        module: the detector's file.
        section: the detector's parameters.
    """
    size, batch_size = size_of(section.model), run.settings.batch_size
    training = DetectionBatches(data, image_ids, size, section.augment, batch_size=batch_size, seed=run.seed)
    validation = DetectionBatches(data, held_out, size, batch_size=batch_size, seed=run.seed) if held_out else None

    def batches(epoch: int) -> Batches:
        return run.load(training, training.epoch(epoch))

    def losses(net: nn.Module, batch: dict[str, Any]) -> dict[str, Tensor]:
        named: dict[str, Tensor] = module.loss(net(batch["images"]), batch["targets"], section.loss)
        return named

    def validate(net: nn.Module) -> Iterator[tuple[str, float]]:
        assert validation is not None
        for name, value in measure(module, net, section, validation, run.fabric.device).items():
            yield f"val_{name}", value

    return fit(
        run,
        model,
        batches,
        losses,
        validate=validate if validation else None,
        groups=parameter_groups(model, fresh, section.new_layer_lr, run.settings),
    )
