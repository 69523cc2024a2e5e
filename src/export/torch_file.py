"""torch.export's format, .pt2: a program for PyTorch without the code of the network."""

import io
import json
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import torch
from torch.export import ExportedProgram

SUFFIX = ".pt2"
ABOUT = "about.json"  # the extra file with the description


def content(program: ExportedProgram, outputs: tuple[str, ...], about: Mapping[str, Any]) -> bytes:
    """The file's bytes; outputs come in their order, for the format has no names for them."""
    buffer = io.BytesIO()
    torch.export.save(program, buffer, extra_files={ABOUT: json.dumps(about)})
    return buffer.getvalue()


def runner(content: bytes) -> Callable[[np.ndarray], list[np.ndarray]]:
    """Images [B, 3, S, T] to the outputs, by PyTorch, of a file's bytes."""
    net = torch.export.load(io.BytesIO(content)).module()

    def run(images: np.ndarray) -> list[np.ndarray]:
        with torch.inference_mode():
            found = net(torch.from_numpy(images))
        return [one.numpy() for one in (found if isinstance(found, tuple) else (found,))]

    return run


def about(content: bytes) -> dict[str, Any]:
    """The description in a file's bytes."""
    extra = {ABOUT: ""}
    torch.export.load(io.BytesIO(content), extra_files=extra)
    return json.loads(extra[ABOUT])
