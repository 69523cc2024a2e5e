"""A comparison of an exported file's outputs with PyTorch's, on images in batches of different lengths."""

from collections.abc import Callable, Iterator
from itertools import cycle, islice

import numpy as np
import torch
from torch import Tensor

from src.errors import InputError
from src.export.graph import Graph

# Allowed difference of outputs, which all lie in 0..1. Another order of the sums in float32 gives 1e-7 to 1e-5, more in
# deep networks. 1e-4 moves a box by 0.05 of 500 pixels and changes no visible digit of a score. Real mistakes (a
# BatchNorm in train mode, two axes exchanged) give 1e-2 and more.
TOLERANCE = 1e-4
BATCHES = (1, 3)  # a single image, which shows a lost batch dimension, and several
Run = Callable[[np.ndarray], list[np.ndarray]]


def check(graph: Graph, run: Run, images: Tensor) -> float:
    """Return the largest difference between the file's outputs and PyTorch's.

    Args:
        graph: in PyTorch, in eval mode on the CPU.
        run: the file's function from images to outputs.
        images: [M, 3, S, T], M at least 1; each is run alone and in a batch, which is filled by repetition.

    Raises:
        InputError: the difference is above `TOLERANCE`, an output is not a finite number, or the shapes differ.
    """
    worst = max(difference(graph, run, batch) for length in BATCHES for batch in _batches(images, length))
    if not worst <= TOLERANCE:
        raise InputError(
            f"the exported network differs from PyTorch's by {worst:.2g} on {len(images)} images, more than the "
            f"allowed {TOLERANCE:g}: no file was written"
        )
    return worst


def difference(graph: Graph, run: Run, images: Tensor) -> float:
    """Return the largest difference on a batch [B, 3, S, T]; infinity if a shape differs or a value is not finite."""
    with torch.inference_mode():
        outputs = graph(images)
    expected = [output.numpy() for output in (outputs if isinstance(outputs, tuple) else (outputs,))]
    actual = run(images.numpy())
    if [output.shape for output in actual] != [output.shape for output in expected]:
        return float("inf")
    worst = max(float(np.abs(ours - theirs).max()) for ours, theirs in zip(actual, expected, strict=True))
    return worst if np.isfinite(worst) else float("inf")


def _batches(images: Tensor, length: int) -> Iterator[Tensor]:
    for start in range(0, len(images), length):
        rows = list(islice(cycle(range(len(images))), start, start + length))
        yield images[rows].contiguous()
