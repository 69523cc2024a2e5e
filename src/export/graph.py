"""What an exported file computes: the network, and what is fixed behind it.

B images, N default boxes or anchors, C classes without background, S x T pixels of the network's input. Images are made
ready outside (size, scale, mean, deviation: `src.export.description`), thresholds and non-maximum suppression come
behind: they are choices of whoever uses the file, differ between runtimes, and make shapes that depend on the values.
"""

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor, nn
from torch.export import Dim, ExportedProgram

from src.boxes.geometry import clip, decode
from src.errors import InputError
from src.prediction.classifier import Classifier
from src.prediction.dense import Dense

INPUT = "images"
BATCH = "batch"
PROBABILITIES = "probabilities"


class Boxes(nn.Module):
    """A dense detector up to its decoded boxes and scores."""

    outputs = ("boxes", "scores")

    def __init__(self, net: nn.Module) -> None:
        super().__init__()
        self.net = net

    def forward(self, images: Tensor) -> tuple[Tensor, Tensor]:
        """`boxes` [B, N, 4] and `scores` [B, N, C] of images [B, 3, S, S].

        Boxes are [x1, y1, x2, y2] in shares of the image's width and height, 0..1 and inside: the input is square
        whatever the photo is, and shares times the photo's sides are its pixels. Scores are probabilities.
        """
        return decoded(self.net(images), size=(images.shape[2], images.shape[3]))


class Probabilities(nn.Module):
    """A classifier, with the softmax and the mirror image that its `predict` section says."""

    outputs = (PROBABILITIES,)

    def __init__(self, net: nn.Module, *, flip: bool) -> None:
        super().__init__()
        self.net, self.flip = net, flip

    def forward(self, images: Tensor) -> Tensor:
        """`probabilities` [B, C], of sum 1, of images [B, 3, S, T]."""
        found = self.net(images).softmax(1)
        return (found + self.net(images.flip(3)).softmax(1)) / 2 if self.flip else found


Graph = Boxes | Probabilities


def graph_of(method: Dense | Classifier) -> tuple[Graph, tuple[int, int]]:
    """The graph around a method's own network, in eval mode on the CPU, and (height, width) of its input in pixels."""
    # Runtimes have memory layouts of their own: channels_last would only put transpositions into the graph.
    net = method.net.cpu().to(memory_format=torch.contiguous_format)
    if isinstance(method, Classifier):
        height, width = method.section.input.size
        return Probabilities(net, flip=method.section.predict.flip).eval(), (height, width)
    size = method.section.model.size
    return Boxes(net).eval(), (size, size)


def decoded(outputs: Mapping[str, Any], size: tuple[int, int]) -> tuple[Tensor, Tensor]:
    """What `decode` of SSD and of the RPN computes before any threshold.

    Args:
        outputs: `logits` [B, N, C + 1] with background first, or [B, N] of an object of whatever class; `deltas`
            [B, N, 4]; `default_boxes` or `anchors` [N, 4]; maybe `variances` [4].
        size: (height, width) of the images.

    Returns:
        boxes [B, N, 4] in shares, scores [B, N, C] with C = 1 for an object of whatever class. Outputs of another kind
        are an `InputError`.
    """
    fixed = outputs.get("default_boxes", outputs.get("anchors"))
    if fixed is None or "logits" not in outputs or "deltas" not in outputs:
        raise InputError(
            f"the network gives {', '.join(outputs)}, and export knows logits and deltas with default_boxes or anchors"
        )
    logits, deltas = outputs["logits"], outputs["deltas"]
    if "variances" in outputs:
        deltas = deltas * outputs["variances"]
    moved = decode(fixed.expand(deltas.shape).reshape(-1, 4), deltas.reshape(-1, 4))
    height, width = size
    boxes = clip(moved, size) / moved.new_tensor([width, height, width, height])
    scores = logits.softmax(2)[:, :, 1:] if logits.dim() == 3 else logits.sigmoid()[:, :, None]
    return boxes.reshape(deltas.shape), scores


def program(graph: Graph, size: tuple[int, int]) -> ExportedProgram:
    """The graph as torch.export sees it, for batches of any number of images of `size` (height, width)."""
    example = torch.zeros(2, 3, *size)  # not 1: torch.export takes 0 and 1 for constants
    # strict: the networks ask `len(images)`, which plain tracing takes for a constant.
    made = torch.export.export(graph, (example,), dynamic_shapes={INPUT: {0: Dim(BATCH)}}, strict=True)
    for node in made.graph.nodes:
        node.meta.pop("stack_trace", None)  # paths of this machine, which concern nobody who gets the file
    return made
