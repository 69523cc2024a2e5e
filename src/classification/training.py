"""Train a classifier: batches, loss, validation, and layers frozen at first."""

from collections.abc import Iterator, Sequence
from typing import Any

from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm

from src.classification.batches import LabelledBatches
from src.classification.loss import class_weights, loss
from src.classification.params import Recipe
from src.classification.running import BATCH_SIZE, predict
from src.evaluation.classification import figures
from src.files.labelled_images import LabelledImages
from src.networks.torchvision_classifier import last_layer
from src.training.loading import Batches
from src.training.loop import Run, fit
from src.training.optimizers import parameter_groups
from src.training.progress import Row


def train(
    run: Run,
    model: nn.Module,
    fresh: list[str],
    data: LabelledImages,
    image_ids: Sequence[str],
    held_out: Sequence[str],
    recipe: Recipe,
) -> list[Row]:
    """Train the network in place and return a row of figures per epoch; those of validation begin with `val_`.

    Args:
        run: device, settings, seed, workers and checkpoint.
        model: the network.
        fresh: layers that start at random while others are pretrained; they learn at `new_layer_lr` times the rate.
        data: the images.
        image_ids: the images to train on.
        held_out: the images to validate on; without any, the last epoch's weights are kept.
        recipe: input, augmentation and loss, and the number of epochs at the start in which only `fresh` and the last
            layer learn.
    """
    training = LabelledBatches(
        data,
        image_ids,
        recipe.input,
        recipe.augment,
        batch_size=run.settings.batch_size,
        seed=run.seed,
        batches_per_epoch=run.settings.batches_per_epoch,
    )
    labels = [data.label(image_id) for image_id in image_ids]
    weights = class_weights(recipe.loss, data.classes, labels)
    weights = None if weights is None else weights.to(run.fabric.device)
    loader, validation = run.loader(training), None
    if held_out:
        validation = run.loader(LabelledBatches(data, held_out, recipe.input, batch_size=BATCH_SIZE), whole=True)

    def batches(epoch: int) -> Batches:
        return loader.load(training.epoch(epoch))

    def losses(net: nn.Module, batch: dict[str, Any]) -> dict[str, Tensor]:
        return {"loss": loss(net(batch["images"]), batch["labels"], recipe.loss, weights)}

    def validate(net: nn.Module) -> Iterator[tuple[str, float]]:
        assert validation is not None
        for name, value in figures(*predict(net, validation)).items():
            yield f"val_{name}", value

    def prepare(net: nn.Module, epoch: int) -> None:
        net.requires_grad_(True)
        if epoch < recipe.freeze_epochs:
            freeze(net, [*fresh, _name_of(net, last_layer(net))])

    return fit(
        run,
        model,
        batches,
        losses,
        validate=validate if held_out else None,
        groups=parameter_groups(model, fresh, recipe.new_layer_lr, run.settings),
        prepare=prepare if recipe.freeze_epochs else None,
    )


def freeze(net: nn.Module, learning: Sequence[str]) -> None:
    """Freeze all layers except `learning`: their weights and BatchNorm's statistics do not change.

    Setting `requires_grad` alone would let the statistics drift away from the weights that they belong to. The network
    stays in train mode, so dropout is on.
    """
    for name, layer in net.named_modules():
        if name in learning:
            continue
        for value in layer.parameters(recurse=False):
            value.requires_grad_(False)
        if isinstance(layer, _BatchNorm):
            layer.eval()


def _name_of(net: nn.Module, layer: nn.Module) -> str:
    return next(name for name, module in net.named_modules() if module is layer)
