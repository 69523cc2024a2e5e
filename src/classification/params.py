"""The keys that every classifier has in its section of params.yaml, besides its own `model`."""

from typing import Annotated

from pydantic import Field, model_validator

from src.params import Count, Fraction, NonNegative, Positive, Section
from src.training.settings import Epochs, TrainOverrides

Colours = Annotated[list[float], Field(min_length=3, max_length=3)]
Degrees = Annotated[float, Field(ge=0, le=180)]


class Input(Section):
    """The input of the network."""

    size: Annotated[list[Count], Field(min_length=2, max_length=2)]  # height, width
    mean: Colours | None
    std: Colours | None

    @model_validator(mode="after")
    def _both(self) -> "Input":
        if (self.mean is None) != (self.std is None):
            raise ValueError("mean and std belong together: give both, or null for both")
        return self


class Augment(Section):
    """The augmentation of training images; 0 turns a key off, and 1 turns `crop` off."""

    crop: Annotated[float, Field(gt=0, le=1)]
    rotate: Degrees
    shift: Fraction
    zoom: Annotated[float, Field(ge=0, lt=1)]
    shear: Annotated[float, Field(ge=0, lt=90)]
    photometric: Fraction
    flip: Fraction
    mixup: NonNegative
    cutmix: NonNegative


class Loss(Section):
    """The loss of the training."""

    label_smoothing: Fraction
    focal_gamma: NonNegative
    balanced: bool
    class_weights: dict[str, Positive]


class Predict(Section):
    """Post-processing; changing these parameters never retrains."""

    flip: bool


class Recipe(Section):
    """The training recipe of a classifier, for any network."""

    input: Input
    augment: Augment
    loss: Loss
    new_layer_lr: Positive
    freeze_epochs: Epochs


class Classifier(Recipe):
    """The keys of a section of `classifiers`, except `model`."""

    data: str
    weights: str
    train: TrainOverrides = TrainOverrides()
    predict: Predict

    @model_validator(mode="after")
    def _taught(self) -> "Classifier":
        if self.weights == "none" and self.freeze_epochs:
            raise ValueError("freeze_epochs holds layers at random with weights: none; name weights, or set it to 0")
        return self


class Pretrain(Section):
    """The section `pretrain_alexnet`; all other settings are those of `warp` and `finetune`."""

    data: str
    dropout: Fraction
    augment: Augment
    loss: Loss
    train: TrainOverrides = TrainOverrides()
