"""The section `finetune` of params.yaml.

It is not beside the code that uses it, because that code is made of PyTorch's classes: a stage reads its parameters,
and prints its help, without the seconds that importing PyTorch takes.
"""

from typing import Annotated

from pydantic import Field, model_validator

from src.params import Count, Fraction, NonNegative, Positive, Section
from src.training.settings import TrainOverrides

PRETRAINED = "pretrained"  # value of `weights` for the network of the stage pretrain_alexnet


class Finetune(Section):
    """The section `finetune`: the network that computes R-CNN's features, and its fine-tuning."""

    backbone: str
    weights: str
    pool: Count | None
    hidden: Count
    dropout: Fraction
    fg_fraction: Fraction
    fg_iou_thresh: Fraction
    bg_iou_min: Fraction
    bg_iou_zero: bool
    bg_min_area: NonNegative
    include_gt: bool
    only_images_with_objects: bool
    flip: bool
    train_convolutions: bool
    map_side: Annotated[int, Field(ge=64, le=4096)] | None
    new_layer_lr: Positive
    train: TrainOverrides = TrainOverrides()

    @model_validator(mode="after")
    def _counted(self) -> "Finetune":
        if self.train.batches_per_epoch is None:
            raise ValueError("train.batches_per_epoch must be a number: batches of regions have no last one")
        return self

    @model_validator(mode="after")
    def _taught(self) -> "Finetune":
        if self.weights == "none" and not self.train_convolutions:
            raise ValueError("train_convolutions: false leaves convolutions at random with weights: none; name weights")
        return self

    @model_validator(mode="after")
    def _still(self) -> "Finetune":
        if self.map_side is not None and self.train_convolutions:
            raise ValueError("map_side needs train_convolutions: false, as convolutions learn from crops alone")
        return self
