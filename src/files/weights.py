"""Weights between stages: safetensors, written completely or not at all, with the same bytes for the same content.

torch is imported only if there is a tensor: the import takes two seconds, and most runs of `download_weights` do not
need it.
"""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import safetensors

from src.errors import InputError
from src.files.damage import REMEDY, told
from src.files.storage import atomic

if TYPE_CHECKING:
    from torch import Tensor


def write_tensors(path: str | Path, tensors: Mapping[str, "Tensor"], facts: Mapping[str, Any] | None = None) -> None:
    """Write weights as safetensors, with `facts` about them as JSON in the header."""
    metadata = {"format": "pt", "facts": json.dumps(facts or {}, sort_keys=True)}  # other libraries look for `format`
    content = {name: tensor.detach().cpu().contiguous() for name, tensor in tensors.items()}
    with atomic(path) as temporary, temporary.open("wb") as file:
        file.writelines(_ordered(_serialised(content, metadata)))


def _serialised(content: dict[str, "Tensor"], metadata: dict[str, str]) -> bytes:
    if not content:
        return bytes(safetensors.serialize({}, metadata))
    from safetensors.torch import save  # not at the top, because it imports torch

    return save(content, metadata)


def _ordered(content: bytes) -> tuple[bytes, bytes, memoryview]:
    """Sort the metadata of a safetensors file, and return its parts; its library writes several keys in a random order.

    A file is the length of its header (8 bytes), the header as JSON, padded with spaces to whole 8 bytes, and the data.
    """
    length = int.from_bytes(content[:8], "little")
    header = json.loads(content[8 : 8 + length])
    header["__metadata__"] = dict(sorted(header["__metadata__"].items()))
    text = json.dumps(header, separators=(",", ":")).encode()
    text += b" " * (-len(text) % 8)
    return len(text).to_bytes(8, "little"), text, memoryview(content)[8 + length :]


def read_tensors(path: str | Path) -> tuple[dict[str, "Tensor"], dict[str, Any]]:
    """Read the weights and facts that `write_tensors` wrote; a file that is none, or cut, is an `InputError`."""
    try:
        with told(path, "safetensors file"), safetensors.safe_open(path, framework="pt") as file:
            facts = json.loads((file.metadata() or {}).get("facts", "{}"))
            return {name: file.get_tensor(name) for name in file.keys()}, facts  # noqa: SIM118 (not a dict)
    except safetensors.SafetensorError as error:
        raise InputError(f"{path} is no whole safetensors file ({error}): {REMEDY}") from None
