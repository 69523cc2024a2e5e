"""Training of a dense detector: batches, loss, validation."""

from collections.abc import Iterator, Sequence
from pathlib import Path
from types import ModuleType
from typing import Any

from lightning_fabric import Fabric
from torch import Tensor, nn
from torch.utils.data import DataLoader, Subset

from src.detection.batches import DetectionBatches
from src.detection.running import measure
from src.files.boxed_images import BoxedImages
from src.training.loop import Batches, Row, fit
from src.training.optimizers import parameter_groups
from src.training.settings import Train


def train(
    fabric: Fabric,
    model: nn.Module,
    fresh: Sequence[str],
    data: BoxedImages,
    image_ids: Sequence[str],
    held_out: Sequence[str],
    module: ModuleType,
    section: Any,
    settings: Train,
    *,
    seed: int,
    workers: int = 0,
    checkpoint: Path | None = None,
) -> list[Row]:
    """Train the network in place and return a row of figures per epoch; those of validation begin with `val_`.

    Args:
        fabric: the device and the precision.
        model: the network.
        fresh: layers that start at random while others are pretrained; they learn at `new_layer_lr` times the rate.
        data: the images.
        image_ids: the images to train on.
        held_out: the images to validate on; without any, the last epoch's weights are kept.
        module: the detector's file.
        section: the detector's parameters.
        settings: settings of the training.
        seed: seed of order, augmentation and dropout.
        workers: processes that prepare batches.
        checkpoint: as in `src.training.loop.fit`.
    """
    size, batch_size = section.model.size, settings.batch_size
    training = DetectionBatches(data, image_ids, size, section.augment, batch_size=batch_size, seed=seed)
    validation = DetectionBatches(data, held_out, size, batch_size=batch_size, seed=seed) if held_out else None

    def batches(epoch: int) -> Batches:
        return DataLoader(Subset(training, training.epoch(epoch)), batch_size=None, num_workers=workers)

    def losses(net: nn.Module, batch: dict[str, Any]) -> dict[str, Tensor]:
        named: dict[str, Tensor] = module.loss(net(batch["images"]), batch["targets"], section.loss)
        return named

    def validate(net: nn.Module) -> Iterator[tuple[str, float]]:
        assert validation is not None
        for name, value in measure(module, net, section, validation, fabric.device).items():
            yield f"val_{name}", value

    return fit(
        fabric,
        model,
        batches,
        losses,
        settings,
        validate=validate if validation else None,
        groups=parameter_groups(model, fresh, section.new_layer_lr),
        seed=seed,
        checkpoint=checkpoint,
    )
