"""`params.yaml` as strict, typed, frozen models: one place that says which numbers exist and what they may be.

Read as YAML 1.2: `dvc exp run -S train.lr=1e-5` writes `1e-05`, which YAML 1.1 readers return as a string.
"""

from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator
from ruamel.yaml import YAML
from ruamel.yaml.error import YAMLError

from src.errors import InputError

Count = Annotated[int, Field(ge=1)]
Positive = Annotated[float, Field(gt=0, allow_inf_nan=False)]
NonNegative = Annotated[float, Field(ge=0, allow_inf_nan=False)]
Fraction = Annotated[float, Field(ge=0, le=1)]


class Section(BaseModel):
    """A part of the parameters: unknown keys and values of another type are errors."""

    model_config = ConfigDict(extra="forbid", strict=True, frozen=True)


class SampleSizes(Section):
    """Images that are drawn for each split of the sample."""

    train: Count
    val: Count
    test: Count


class Voc(Section):
    """Where the Pascal VOC images come from, and what is kept of them."""

    source: Literal["sample", "official", "local"]
    path: str | None
    years: list[Literal[2007, 2012]]
    classes: list[str] | None
    other_classes: Literal["drop", "error"]
    limit: Count | None
    sample: SampleSizes

    @model_validator(mode="after")
    def _complete(self) -> "Voc":
        if self.source == "local" and self.path is None:
            raise ValueError("source is local, so path must name a tar, a zip or a folder in the VOC layout")
        if self.source == "official" and 2007 not in self.years:
            raise ValueError("years must hold 2007, the only year whose test annotations are public")
        if self.classes is not None and (not self.classes or len(set(self.classes)) < len(self.classes)):
            raise ValueError("classes must be null or a list of different names")
        return self


class Data(Section):
    """One section a data set."""

    voc: Voc


class Splits(Section):
    """Names of the splits that each part of R-CNN sees."""

    finetune: str
    validation: str | None
    train: str
    test: str


class SelectiveSearch(Section):
    """Region proposals by selective search."""

    mode: Literal["fast", "quality"]
    min_side: Count
    max_proposals: Count | None


class Warp(Section):
    """How a region becomes the network's input."""

    size: Annotated[int, Field(ge=63)]  # AlexNet's last pooling has nothing left of less
    context: Annotated[int, Field(ge=0)]

    @model_validator(mode="after")
    def _room(self) -> "Warp":
        if 2 * self.context >= self.size:
            raise ValueError(f"context {self.context} on both sides leaves nothing of size {self.size}")
        return self


class Train(Section):
    """What every trainer starts from."""

    optimizer: Literal["sgd", "adam", "adamw"]
    lr: Positive
    momentum: Fraction
    weight_decay: NonNegative
    batch_size: Count
    epochs: Count
    lr_step: Count | None
    lr_gamma: Positive
    grad_clip: Positive | None


class TrainOverrides(Section):
    """Keys of `train` that one trainer sets for itself."""

    optimizer: Literal["sgd", "adam", "adamw"] | None = None
    lr: Positive | None = None
    momentum: Fraction | None = None
    weight_decay: NonNegative | None = None
    batch_size: Count | None = None
    epochs: Count | None = None
    lr_step: Count | None = None
    lr_gamma: Positive | None = None
    grad_clip: Positive | None = None

    def over(self, base: Train) -> Train:
        """`base` with the keys that are set here."""
        return base.model_copy(update=self.model_dump(exclude_unset=True))


class Finetune(Section):
    """The network that R-CNN takes its features from."""

    backbone: str
    weights: str
    hidden: Count
    dropout: Fraction
    batches_per_epoch: Count
    fg_fraction: Fraction
    fg_iou_thresh: Fraction
    bg_iou_min: Fraction
    bg_iou_zero: bool
    bg_min_area: NonNegative
    include_gt: bool
    only_images_with_objects: bool
    flip: bool
    new_layer_lr: Positive
    train: TrainOverrides = TrainOverrides()


class Features(Section):
    """Which regions are described, and by which layer."""

    proposals: str
    layer: Literal["pool5", "fc6", "fc7"]


class Sgd(Section):
    """The tutorial's schedule for the SVMs."""

    lr: Positive
    lr_step: Count
    lr_gamma: Positive
    epochs: Count


class TrainSvm(Section):
    """Linear SVMs with hard-negative mining."""

    solver: Literal["liblinear", "sgd"]
    c: Positive
    bias_multiplier: Positive
    positive_weight: Positive
    feature_norm: Positive
    neg_iou_thresh: Fraction
    neg_iou_zero: bool
    neg_min_area: NonNegative
    only_images_with_objects: bool
    first_negatives: Count
    rounds: Count
    hard_margin: float
    easy_margin: float
    max_new: Count | None
    sgd: Sgd

    @model_validator(mode="after")
    def _margins(self) -> "TrainSvm":
        if self.easy_margin > self.hard_margin:
            raise ValueError("easy_margin must not be above hard_margin, or a negative is hard and easy at once")
        return self


class TrainBbox(Section):
    """Ridge regression of boxes."""

    iou_thresh: Fraction
    ridge_lambda: Positive


class DetectRcnn(Section):
    """From scores to detections."""

    score_thresh: float
    nms_thresh: Fraction
    max_per_image: Count


class Evaluate(Section):
    """What the evaluation reports."""

    recall_at: list[Count]


class Params(Section):
    """All of `params.yaml`."""

    profile: str
    seed: Annotated[int, Field(ge=0)]
    data: Data
    splits: Splits
    selective_search: SelectiveSearch
    warp: Warp
    train: Train
    finetune: Finetune
    features: Features
    train_svm: TrainSvm
    train_bbox: TrainBbox
    detect_rcnn: DetectRcnn
    evaluate: Evaluate


class ParamsError(InputError):
    """Parameters that cannot be used: a line for each, with its key, its value and what was expected."""


def read_params(path: str | Path) -> Params:
    """The parameters of a file, checked; `ParamsError` for a file that is no YAML or has a wrong key or value."""
    try:
        content: Any = YAML(typ="safe").load(Path(path).read_text())
    except YAMLError as error:
        raise ParamsError(f"{path} is not valid YAML: {error}") from None
    if not isinstance(content, dict):
        raise ParamsError(f"{path} must hold sections, such as `train:`, and holds {content!r}")
    try:
        return Params.model_validate(content)
    except ValidationError as error:
        raise ParamsError("\n".join(_line(path, item) for item in error.errors())) from None


def _line(path: str | Path, item: Any) -> str:
    key = ".".join(str(part) for part in item["loc"])
    if item["type"] == "missing":
        return f"{path}: {key} is missing"
    if item["type"] == "extra_forbidden":
        return f"{path}: {key} = {item['input']!r}: there is no such parameter"
    value = "" if isinstance(item["input"], dict | Section) else f" = {item['input']!r}"
    return f"{path}: {key}{value}: {item['msg'].removeprefix('Value error, ')}"
