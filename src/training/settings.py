"""The section `train` of params.yaml, and the keys of it that a single trainer overrides."""

from typing import Annotated, Any, Literal

from pydantic import Field, create_model

from src.params import Count, Fraction, NonNegative, Positive, Section

Epochs = Annotated[int, Field(ge=0, le=1_000_000)]  # 0 leaves the network's weights unchanged
UNSET: Any = None


class Train(Section):
    """The section `train`, from which every trainer starts."""

    optimizer: Literal["sgd", "adam", "adamw", "adabelief", "ranger"]
    lr: Positive
    momentum: Fraction
    weight_decay: NonNegative
    bias_lr_scale: Positive
    decay_biases: bool
    batch_size: Count
    epochs: Epochs
    batches_per_epoch: Count | None
    schedule: Literal["constant", "step", "multi_step", "cosine", "warm_restarts", "plateau"]
    lr_step: Count
    lr_milestones: list[Count]
    lr_gamma: Positive
    lr_patience: Count
    restart_epochs: Count
    restart_factor: Count
    warmup_epochs: NonNegative
    grad_clip: Positive | None
    ema_decay: Fraction | None
    precision: Literal["32-true", "16-mixed", "bf16-mixed"]
    validate_every: Count
    best_by: str
    patience: Count | None


OVERRIDES: Any = {name: (info.rebuild_annotation(), UNSET) for name, info in Train.model_fields.items()}


class TrainOverrides(create_model("Overrides", __base__=Section, **OVERRIDES)):  # type: ignore[misc]
    """Keys of `train` that a single trainer overrides; a key that is not overridden is absent, not null."""

    def over(self, base: Train) -> Train:
        """Return `base` with the keys that are set here."""
        return base.model_copy(update=self.model_dump(exclude_unset=True))
