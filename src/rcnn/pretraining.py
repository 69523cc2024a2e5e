"""Pretraining of R-CNN's network on whole labelled images: its start, its recipe, and the weights to keep."""

from torch import Tensor, nn

from src.classification.params import Input, Pretrain, Recipe
from src.classification.running import start as start_classifier
from src.rcnn import network
from src.rcnn.finetune_settings import Finetune
from src.rcnn.warp import Warp


def start(rules: Finetune, section: Pretrain, num_classes: int, seed: int) -> nn.Module:
    """Build the network of the section `finetune` with random weights, for `num_classes` classes (no background)."""

    def build() -> nn.Module:
        return network.build(rules.backbone, num_classes, pool=rules.pool, hidden=rules.hidden, dropout=section.dropout)

    return start_classifier(build, {}, "", seed)[0]


def recipe(section: Pretrain, warp: Warp) -> Recipe:
    """Return the training recipe; images have the size of warped regions, so that fc6 learns on maps of that size."""
    return Recipe(
        input=Input(size=[warp.size, warp.size], mean=None, std=None),
        augment=section.augment,
        loss=section.loss,
        new_layer_lr=1.0,
        freeze_epochs=0,
    )


def without_last(model: nn.Module) -> dict[str, Tensor]:
    """Return the weights by name without those of fc8, which would also load for other classes of the same number."""
    last = f"classifier.{len(model.get_submodule('classifier')) - 1}."  # type: ignore[arg-type]
    return {name: value for name, value in model.state_dict().items() if not name.startswith(last)}
