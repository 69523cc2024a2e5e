"""Weights between stages: safetensors, whole or not at all, the same bytes for the same content.

torch is imported only where there is a tensor: that takes two seconds, which most of `download_weights` do without.
"""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import safetensors

from src.files.storage import atomic

if TYPE_CHECKING:
    from torch import Tensor


def write_tensors(path: str | Path, tensors: Mapping[str, "Tensor"], facts: Mapping[str, Any] | None = None) -> None:
    """Weights as safetensors, with `facts` about them as JSON in the header."""
    # One metadata key only: the order of several is not fixed in the format's library.
    metadata = {"facts": json.dumps(facts or {}, sort_keys=True)}
    content = {name: tensor.detach().cpu().contiguous() for name, tensor in tensors.items()}
    with atomic(path) as temporary:
        temporary.write_bytes(_serialised(content, metadata))


def _serialised(content: dict[str, "Tensor"], metadata: dict[str, str]) -> bytes:
    if not content:
        return bytes(safetensors.serialize({}, metadata))
    from safetensors.torch import save  # here, not above: it imports torch

    return save(content, metadata)


def read_tensors(path: str | Path) -> tuple[dict[str, "Tensor"], dict[str, Any]]:
    """Weights and facts that `write_tensors` wrote."""
    with safetensors.safe_open(path, framework="pt") as file:
        facts = json.loads((file.metadata() or {}).get("facts", "{}"))
        return {name: file.get_tensor(name) for name in file.keys()}, facts  # noqa: SIM118 (not a dict)
