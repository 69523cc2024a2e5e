"""The region proposal network alone (Ren et al. 2015, Faster R-CNN, Sec. 3.1), which finds objects of any class.

Its layers and its proposals are in src/detection/rpn.py, its labels and its loss in src/detection/anchor_loss.py.
"""

from collections.abc import Mapping
from typing import Self

from pydantic import model_validator
from torch import Tensor, nn

from src.boxes.matching import IGNORED, OBJECT
from src.detection.anchor_loss import Loss, label_anchors, loss
from src.detection.augmentation import Augment
from src.detection.rpn import Decode, Model, Outputs, Rpn, check_trainable, decode
from src.params import Positive, Section
from src.training.settings import TrainOverrides

__all__ = ["CLASS_AGNOSTIC", "Decode", "Loss", "Model", "Params", "build", "count", "decode", "figures", "loss"]

CLASS_AGNOSTIC = True  # label 1 is any object


class Params(Section):
    """The section `detectors.rpn`."""

    weights: str
    new_layer_lr: Positive
    model: Model
    loss: Loss
    augment: Augment
    train: TrainOverrides = TrainOverrides()
    decode: Decode

    @model_validator(mode="after")
    def _trainable(self) -> Self:
        if not self.loss.across_border:
            check_trainable(self.model, "loss.across_border")
        return self


def build(num_classes: int, model: Model) -> nn.Module:
    """Build the network with random weights; it does not distinguish classes, so `num_classes` has no effect."""
    return Rpn(model)


def count(outputs: Outputs, targets: Mapping[str, Tensor], rules: Loss) -> dict[str, int]:
    """Count the labelled, the positive, the predicted positive and the correctly found anchors, for `figures`.

    `positive_0` and so on count the positive anchors of each shape.
    """
    labels, _ = label_anchors(outputs["anchors"], targets, rules)
    positive, called = labels == OBJECT, (outputs["logits"] > 0) & (labels != IGNORED)
    of_shapes = positive.reshape(-1, len(outputs["shape_scales"])).sum(dim=0).tolist()
    return {
        "labelled": int((labels != IGNORED).sum()),
        "positive": int(positive.sum()),
        "called": int(called.sum()),
        "found": int((called & positive).sum()),
        **{f"positive_{shape}": number for shape, number in enumerate(of_shapes)},
    }


def figures(counts: Mapping[str, float]) -> dict[str, float]:
    """Compute precision and recall of the positive anchors, and the accuracy over all labelled ones.

    The accuracy alone means little: background as a constant answer already reaches `accuracy_always_background`.
    `shapes_without_label` is the number of anchor shapes that are positive in none of these images.
    """
    labelled, positive = max(counts["labelled"], 1), counts["positive"]
    wrong = positive + counts["called"] - 2 * counts["found"]
    return {
        "precision": counts["found"] / max(counts["called"], 1),
        "recall": counts["found"] / max(positive, 1),
        "accuracy": 1 - wrong / labelled,
        "accuracy_always_background": 1 - positive / labelled,
        "shapes_without_label": sum(not value for name, value in counts.items() if name.startswith("positive_")),
    }
