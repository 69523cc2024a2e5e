"""Weights between stages: safetensors, written completely or not at all, with the same bytes for the same content.

torch is imported only if there is a tensor: the import takes two seconds, and most runs of `download_weights` do not
need it.
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
    """Write weights as safetensors, with `facts` about them as JSON in the header."""
    # Only one metadata key: the library of the format does not fix the order of several keys.
    metadata = {"facts": json.dumps(facts or {}, sort_keys=True)}
    content = {name: tensor.detach().cpu().contiguous() for name, tensor in tensors.items()}
    with atomic(path) as temporary:
        temporary.write_bytes(_serialised(content, metadata))


def _serialised(content: dict[str, "Tensor"], metadata: dict[str, str]) -> bytes:
    if not content:
        return bytes(safetensors.serialize({}, metadata))
    from safetensors.torch import save  # not at the top, because it imports torch

    return save(content, metadata)


def read_tensors(path: str | Path) -> tuple[dict[str, "Tensor"], dict[str, Any]]:
    """Read the weights and facts that `write_tensors` wrote."""
    with safetensors.safe_open(path, framework="pt") as file:
        facts = json.loads((file.metadata() or {}).get("facts", "{}"))
        return {name: file.get_tensor(name) for name in file.keys()}, facts  # noqa: SIM118 (not a dict)
