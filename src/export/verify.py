"""Whether an exported file says what PyTorch says, of images and in batches of different lengths."""

from collections.abc import Callable, Iterator
from itertools import cycle, islice
from typing import cast

import numpy as np
import torch
from torch import Tensor

from src.classification.batches import LabelledBatches
from src.detection.augmentation import apply
from src.errors import InputError
from src.export.graph import Graph
from src.files.labelled_images import LabelledImages
from src.prediction.classifier import Classifier, OnePhoto
from src.prediction.dense import NO_OBJECTS, Dense

# Of outputs that all lie in 0..1. Another order of the sums in float32 makes 1e-7 to 1e-5 of it, more in deep networks;
# 1e-4 moves a box by 0.05 of 500 pixels, and no score that anybody reads. What is really wrong (a BatchNorm in train
# mode, two axes exchanged) makes 1e-2 and more.
TOLERANCE = 1e-4
BATCHES = (1, 3)  # one alone, where a batch dimension may have been lost, and several
Run = Callable[[np.ndarray], list[np.ndarray]]


def ready(method: Dense | Classifier, image: np.ndarray) -> Tensor:
    """An RGB image, uint8 [H, W, 3], as the pipeline puts it before the network: [3, S, T], normalised."""
    if isinstance(method, Dense):
        return apply(method.steps, image, NO_OBJECTS)[0]
    photo = cast(LabelledImages, OnePhoto(image, method.classes))
    return LabelledBatches(photo, ["photo"], method.section.input, batch_size=1)[0]["images"][0]


def check(graph: Graph, run: Run, images: Tensor) -> float:
    """The largest difference between the file's outputs and PyTorch's.

    Args:
        graph: in PyTorch, in eval mode on the CPU.
        run: the file.
        images: [M, 3, S, T], M at least 1; each is seen alone, and with others. Fewer than a batch are repeated.

    Raises:
        InputError: it is above `TOLERANCE`, an output is no number, or the shapes differ.
    """
    worst = max(difference(graph, run, batch) for length in BATCHES for batch in _batches(images, length))
    if not worst <= TOLERANCE:
        raise InputError(
            f"the exported network differs from PyTorch's by {worst:.2g} on {len(images)} images, and {TOLERANCE:g} is "
            "the most: no file was written"
        )
    return worst


def difference(graph: Graph, run: Run, images: Tensor) -> float:
    """The largest difference on a batch [B, 3, S, T]; infinite where a shape differs or a value is no number."""
    with torch.inference_mode():
        outputs = graph(images)
    wanted = [one.numpy() for one in (outputs if isinstance(outputs, tuple) else (outputs,))]
    found = run(images.numpy())
    if [one.shape for one in found] != [one.shape for one in wanted]:
        return float("inf")
    worst = max(float(np.abs(one - other).max()) for one, other in zip(found, wanted, strict=True))
    return worst if np.isfinite(worst) else float("inf")


def _batches(images: Tensor, length: int) -> Iterator[Tensor]:
    for start in range(0, len(images), length):
        rows = list(islice(cycle(range(len(images))), start, start + length))
        yield images[rows].contiguous()
