"""Read the weights that a network starts from: torchvision's for ImageNet, or a user's file.

torch is imported only where it is needed: it takes two seconds, and the sample's networks start without a file.
"""

import hashlib
from pathlib import Path
from typing import TYPE_CHECKING

from src.errors import InputError
from src.files.weights import read_tensors

if TYPE_CHECKING:
    from torch import Tensor

WRAPPERS = ("module.", "_orig_mod.", "model.", "backbone.")  # put before every name by DataParallel, compile, trainers


def read(source: str, name: str) -> tuple[dict[str, "Tensor"], dict[str, str]]:
    """Return weights by name, and where they are from.

    Args:
        source: `none` for no tensor (the network starts at random), `imagenet`, or the path of a file.
        name: the network's, as torchvision calls it.
    """
    if source == "none":
        return {}, {"source": "none"}
    return imagenet(name) if source == "imagenet" else from_file(Path(source))


def imagenet(backbone: str) -> tuple[dict[str, "Tensor"], dict[str, str]]:
    """Download torchvision's ImageNet weights of a network; return them, and where they are from."""
    import torchvision

    try:
        weights = torchvision.models.get_model_weights(backbone)["DEFAULT"]
    except ValueError:
        raise InputError(
            f"params.yaml: weights = imagenet: torchvision has none of {backbone!r}; give a path or none"
        ) from None
    try:
        # The file's name holds the start of its SHA-256, which is checked.
        state = weights.get_state_dict(check_hash=True, progress=True)
    except (OSError, RuntimeError) as error:
        raise InputError(
            f"{weights.url} could not be downloaded ({error}): fetch it on a machine that reaches it and give its path "
            "as `weights` in params.yaml, or set none"
        ) from None
    return state, {"source": "imagenet", "url": weights.url}


def from_file(path: Path) -> tuple[dict[str, "Tensor"], dict[str, str]]:
    """Read a user's file; return the weights, and the file's name and digest.

    A file that is missing or no plain state dict is an `InputError`. Nothing is unpickled except tensors.
    """
    import torch

    if not path.is_file():
        raise InputError(f"params.yaml: weights = {path}: there is no such file; give a path, imagenet or none")
    sha256 = hashlib.sha256(path.read_bytes()).hexdigest()
    if path.suffix == ".safetensors":
        return read_tensors(path)[0], {"source": path.name, "sha256": sha256}
    try:
        state = torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:  # torch raises several kinds for a file that is none of its own
        raise InputError(f"{path} is not a state dict that torch.load reads with weights_only: {error}") from None
    if not isinstance(state, dict) or not all(isinstance(value, torch.Tensor) for value in state.values()):
        raise InputError(f"{path} must hold a plain state dict, names to tensors: save model.state_dict()")
    return _unwrapped(state), {"source": path.name, "sha256": sha256}


def _unwrapped(state: dict[str, "Tensor"]) -> dict[str, "Tensor"]:
    """The state dict without the prefixes that all of its names have, such as `module.` of DataParallel."""
    for wrapper in WRAPPERS:
        if state and all(name.startswith(wrapper) for name in state):
            return _unwrapped({name.removeprefix(wrapper): value for name, value in state.items()})
    return state
