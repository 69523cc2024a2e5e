"""Faster R-CNN's training in four alternating steps (Ren et al. 2015, arXiv:1506.01497, Sec. 3.2).

1. The RPN learns on a backbone of its own.
2. The head learns on a second backbone, which starts as the first did, from the proposals of step 1.
3. The RPN's layers go on learning on the head's backbone, which stands still from here on.
4. The head goes on learning on the same backbone, from the proposals of step 3.

The RPN and the head then have one backbone, as after a joint training.
"""

from collections.abc import Mapping, Sequence
from copy import deepcopy
from typing import Annotated, Any

from pydantic import Field
from torch import Tensor

from src.detection.freezing import HeldBackbone
from src.detection.steps import Steps
from src.params import Count

Epochs = Annotated[list[Count], Field(min_length=4, max_length=4)]


class Alternating(Steps):
    """A Faster R-CNN during its four steps, and the backbone that its RPN has in the first two of them.

    Attributes:
        net: the network, which has the parts `backbone`, `rpn` and `head`.
        first_backbone: the RPN's backbone in the steps 1 and 2, at the start a copy of the network's.
    """

    key = "alternating"
    learning = (("first_backbone", "net.rpn"), ("net.backbone", "net.head"), ("net.rpn",), ("net.head",))

    def __init__(self, net: HeldBackbone, epochs: Sequence[int]) -> None:
        super().__init__(net, epochs)
        self.first_backbone = deepcopy(net.backbone)

    def layers(self, names: Sequence[str]) -> list[str]:
        """Return the names that layers of the network, and their copies in the first backbone, have in this module."""
        return [*super().layers(names), *(f"first_{name}" for name in names if name.startswith("backbone."))]

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
        of_head = self.net.backbone
        of_rpn = self.first_backbone if self.step < 2 else of_head
        features = of_rpn(images)[0]
        anchored: dict[str, Tensor] = self.net.anchored(features, images)
        if "net.rpn" in self.learning[self.step]:
            return anchored
        regions = self.net.regions(anchored, sizes, rules, targets)
        own = features if of_rpn is of_head else of_head(images)[0]
        classified: dict[str, Tensor] = self.net.classified(own, images, regions)
        return classified
