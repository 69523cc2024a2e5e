"""The computation of an exported file: the network, and the fixed steps after it.

B images, N default boxes or anchors, C classes without background, S x T pixels of the network's input. The user of the
file prepares images before it (size, scale, mean, deviation: `src.export.description`), and applies thresholds and
non-maximum suppression after it. These depend on the user's choice, differ between runtimes, and make output shapes
depend on the values.
"""

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor, nn
from torch.export import Dim, ExportedProgram

from src.boxes.geometry import clip, decode
from src.detection.running import two_stage
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
        """Return `boxes` [B, N, 4] and `scores` [B, N, C] of images [B, 3, S, S].

        Boxes are [x1, y1, x2, y2] as shares of the image's width and height, clipped to 0..1. The input is square for
        a photo of any shape; shares times the photo's width and height are its pixels. Scores are probabilities.
        """
        return decoded(self.net(images), size=(images.shape[2], images.shape[3]))


class Probabilities(nn.Module):
    """A classifier with softmax, and with the mirror image if its `predict` section asks for it."""

    outputs = (PROBABILITIES,)

    def __init__(self, net: nn.Module, *, flip: bool) -> None:
        super().__init__()
        self.net, self.flip = net, flip

    def forward(self, images: Tensor) -> Tensor:
        """Return `probabilities` [B, C], of sum 1, of images [B, 3, S, T]."""
        scores = self.net(images).softmax(1)
        return (scores + self.net(images.flip(3)).softmax(1)) / 2 if self.flip else scores


Graph = Boxes | Probabilities


def graph_of(method: Dense | Classifier) -> tuple[Graph, tuple[int, int]]:
    """Build the graph around a method's network, in eval mode on the CPU.

    Returns:
        the graph, and (height, width) of its input in pixels.

    Raises:
        InputError: the detector has two stages, or its input is no square of a fixed size.
    """
    # Runtimes have their own memory layouts: channels_last would only add transpositions to the graph.
    net = method.net.cpu().to(memory_format=torch.contiguous_format)
    if isinstance(method, Classifier):
        height, width = method.section.input.size
        return Probabilities(net, flip=method.section.predict.flip).eval(), (height, width)
    if two_stage(method.module):
        raise InputError(
            "this model has two stages, and the number of regions that the second one classifies differs from photo to "
            "photo, but an exported file has a fixed number: use `python -m commands.predict`"
        )
    size, longest = method.size
    if longest is not None:
        raise InputError(
            f"this model keeps the aspect ratio of photos (model.longest = {longest}), and an exported file has one "
            "fixed square input: train it with model.longest = null, or use `python -m commands.predict`"
        )
    return Boxes(net).eval(), (size, size)


def decoded(outputs: Mapping[str, Any], size: tuple[int, int]) -> tuple[Tensor, Tensor]:
    """Compute boxes and scores as `decode` of SSD and of the RPN does before any threshold.

    Args:
        outputs: `logits` [B, N, C + 1] with background first, or [B, N] for class-agnostic objects; `deltas`
            [B, N, 4]; `default_boxes` or `anchors` [N, 4]; optionally `variances` [4].
        size: (height, width) of the images.

    Returns:
        boxes [B, N, 4] as shares, scores [B, N, C] with C = 1 for class-agnostic objects.

    Raises:
        InputError: the outputs have other names.
    """
    anchors = outputs.get("default_boxes", outputs.get("anchors"))
    if anchors is None or "logits" not in outputs or "deltas" not in outputs:
        raise InputError(
            f"the network's outputs are {', '.join(outputs)}; export needs logits, deltas, and default_boxes or anchors"
        )
    logits, deltas = outputs["logits"], outputs["deltas"]
    if "variances" in outputs:
        deltas = deltas * outputs["variances"]
    moved = decode(anchors.expand(deltas.shape).reshape(-1, 4), deltas.reshape(-1, 4))
    height, width = size
    boxes = clip(moved, size) / moved.new_tensor([width, height, width, height])
    scores = logits.softmax(2)[:, :, 1:] if logits.dim() == 3 else logits.sigmoid()[:, :, None]
    return boxes.reshape(deltas.shape), scores


def program(graph: Graph, size: tuple[int, int]) -> ExportedProgram:
    """Trace the graph with torch.export, for batches of any number of images of `size` (height, width)."""
    example = torch.zeros(2, 3, *size)  # not 1: torch.export treats 0 and 1 as constants
    # strict: the networks call `len(images)`, which plain tracing would make a constant.
    exported = torch.export.export(graph, (example,), dynamic_shapes={INPUT: {0: Dim(BATCH)}}, strict=True)
    for node in exported.graph.nodes:
        node.meta.pop("stack_trace", None)  # it contains paths of this machine, which must not be in the file
    return exported
