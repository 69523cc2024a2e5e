"""Layers of a backbone that stand still while the rest learns (Girshick 2015, Sec. 4.5)."""

from typing import Annotated, Any, Self

from pydantic import Field
from torch import nn
from torch.nn.modules.batchnorm import _BatchNorm

from src.params import MOST

Freeze = Annotated[int, Field(ge=0, le=MOST)]


def check_taught(freeze: int, weights: str) -> None:
    """Raise a `ValueError` if layers would stand still at their random values."""
    if freeze and weights == "none":
        raise ValueError(
            f"model.freeze = {freeze} holds layers at random with weights: none; name weights, or set it to 0"
        )


def hold(backbone: nn.Module, count: int) -> None:
    """Let the first `count` convolutions and all between them stand still: no gradient, and eval mode of BatchNorm.

    The layers are counted in the order in which the backbone lists them. A normalisation after the last of these
    convolutions stands still, too: its statistics are those of the convolution's output.

    Args:
        backbone: its mode is set before; a call of its `train` undoes the eval mode.
        count: 0: all layers learn. More than there are: none does.
    """
    seen = 0
    for layer in backbone.modules():
        seen += isinstance(layer, nn.Conv2d)
        if seen > count or count == 0:
            return
        if not list(layer.children()):
            layer.requires_grad_(requires_grad=False)
            if isinstance(layer, _BatchNorm):
                layer.eval()


class HeldBackbone(nn.Module):
    """A network whose backbone's first `freeze` convolutions stand still, in training and in the test."""

    backbone: Any  # of src/backbones, whose networks have no type in common
    freeze: int

    def train(self, mode: bool = True) -> Self:
        """Set the mode of training; the first `freeze` convolutions of the backbone stand still in both modes."""
        super().train(mode)
        hold(self.backbone, self.freeze)
        return self
