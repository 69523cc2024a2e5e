"""Files of torch.export (.pt2): programs that PyTorch runs without the code of the network."""

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
    """Return the file's bytes; outputs keep their order, because the format has no names for them."""
    buffer = io.BytesIO()
    torch.export.save(program, buffer, extra_files={ABOUT: json.dumps(about)})
    return buffer.getvalue()


def runner(content: bytes) -> Callable[[np.ndarray], list[np.ndarray]]:
    """Return a function that runs a file's bytes in PyTorch: images [B, 3, S, T] -> outputs."""
    net = torch.export.load(io.BytesIO(content)).module()

    def run(images: np.ndarray) -> list[np.ndarray]:
        with torch.inference_mode():
            outputs = net(torch.from_numpy(images))
        return [output.numpy() for output in (outputs if isinstance(outputs, tuple) else (outputs,))]

    return run


def about(content: bytes) -> dict[str, Any]:
    """Return the description in a file's bytes."""
    extra = {ABOUT: ""}
    torch.export.load(io.BytesIO(content), extra_files=extra)
    return json.loads(extra[ABOUT])
