"""Faster R-CNN's training in four alternating steps (Ren et al. 2015, arXiv:1506.01497, Sec. 3.2).

1. The RPN learns on a backbone of its own.
2. The head learns on a second backbone, which starts as the first did, from the proposals of step 1.
3. The RPN's layers go on learning on the head's backbone, which stands still from here on.
4. The head goes on learning on the same backbone, from the proposals of step 3.

The RPN and the head then have one backbone, as after a joint training.
"""

from collections.abc import Mapping, Sequence
from copy import deepcopy
from itertools import accumulate
from typing import Annotated, Any, NamedTuple

from pydantic import Field
from torch import Tensor, nn

from src.detection.freezing import hold
from src.params import Count

Epochs = Annotated[list[Count], Field(min_length=4, max_length=4)]


class Step(NamedTuple):
    """The parts of `Alternating` that learn in a step, and the backbone whose map the RPN sees."""

    learning: tuple[str, ...]
    backbone: str


STEPS = (
    Step(("first", "net.rpn"), "first"),
    Step(("net.backbone", "net.head"), "first"),
    Step(("net.rpn",), "net.backbone"),
    Step(("net.head",), "net.backbone"),
)


class Alternating(nn.Module):
    """A Faster R-CNN during its four steps, and the backbone that its RPN has in the first two of them.

    Attributes:
        net: the network, which has the parts `backbone`, `rpn` and `head`.
        first: the RPN's backbone in the steps 1 and 2, at the start a copy of the network's.
        step: the present step.
    """

    def __init__(self, net: Any, epochs: Sequence[int]) -> None:
        super().__init__()
        self.net, self.first = net, deepcopy(net.backbone)
        self.ends, self.step = list(accumulate(epochs)), STEPS[0]

    def enter(self, epoch: int) -> None:
        """Let the parts of an epoch's step learn, and all others stand still, the statistics of BatchNorm too.

        It depends on the epoch alone, so a training may be resumed in any step.

        Args:
            epoch: from 0; one after the last step belongs to the last step.
        """
        self.step = STEPS[min(sum(epoch >= end for end in self.ends), len(STEPS) - 1)]
        for name in ("first", "net.backbone", "net.rpn", "net.head"):
            part, learns = self.get_submodule(name), name in self.step.learning
            part.requires_grad_(learns).train(learns)
            if name.endswith(("first", "backbone")):
                hold(part, self.net.freeze)

    def forward(
        self, images: Tensor, sizes: Tensor, rules: Any, targets: Mapping[str, Tensor] | None = None
    ) -> dict[str, Tensor]:
        """Compute the outputs of the stage that learns; in eval mode those of the network as it would be kept.

        Arguments and outputs are those of the network (`src/detectors/faster_rcnn.py`): the outputs of the RPN alone in
        the steps 1 and 3, and those of the head alone in the steps 2 and 4.
        """
        if not self.training:
            outputs: dict[str, Tensor] = self.net(images, sizes, rules, targets)
            return outputs
        features = self.get_submodule(self.step.backbone)(images)[0]
        anchored: dict[str, Tensor] = self.net.anchored(features, images)
        if "net.rpn" in self.step.learning:
            return anchored
        regions = self.net.regions(anchored, sizes, rules, targets)
        own = features if self.step.backbone == "net.backbone" else self.net.backbone(images)[0]
        classified: dict[str, Tensor] = self.net.classified(own, images, regions)
        return classified


def problem(steps: Sequence[int] | None, epochs: int) -> str | None:
    """Say in words why steps of so many epochs do not fit a training of `epochs`; None if they do or are None."""
    if steps is None or sum(steps) == epochs:
        return None
    return f"alternating = {list(steps)}: {sum(steps)} epochs, and train.epochs is {epochs}: make them equal"
