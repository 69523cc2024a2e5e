"""Read the weights that a network starts from: torchvision's for ImageNet, or a user's file.

torch is imported only in the functions that need it: the import takes two seconds, and the networks of the sample start
without a file.
"""

import hashlib
import math
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING

from src.errors import InputError
from src.files.weights import read_tensors

if TYPE_CHECKING:
    from torch import Tensor

ROUNDED = 0.001  # MiB, to which torchvision rounds the sizes of its files
WRAPPERS = ("module.", "_orig_mod.", "model.", "backbone.")  # prefixes from DataParallel, compile and trainers


def read(source: str, name: str) -> tuple[dict[str, "Tensor"], dict[str, str]]:
    """Return weights by name, and a description of their source.

    Args:
        source: `none` for no tensor (the network starts at random), `imagenet`, or the path of a file.
        name: torchvision's name of the network.
    """
    if source == "none":
        return {}, {"source": "none"}
    return imagenet(name) if source == "imagenet" else from_file(Path(source))


def imagenet(backbone: str) -> tuple[dict[str, "Tensor"], dict[str, str]]:
    """Download torchvision's ImageNet weights of a network; return them, and a description of their source.

    The file stays in the folder in which torchvision itself keeps it (`TORCH_HOME`).
    """
    import torch
    import torchvision

    from src.files.download import download

    try:
        weights = torchvision.models.get_model_weights(backbone)["DEFAULT"]
    except ValueError:
        raise InputError(
            f"params.yaml: weights = imagenet: torchvision has none of {backbone!r}; give a path or none"
        ) from None
    name = PurePosixPath(weights.url).name
    path = Path(torch.hub.get_dir()) / "checkpoints" / name
    download(
        [weights.url],
        path,
        checksum=f"sha256:{name.removesuffix('.pth').rpartition('-')[2]}",  # torchvision names files so
        size=math.ceil((weights.meta["_file_size"] + ROUNDED) * (1 << 20)),
        remedy="download it on another machine and give its path as `weights` in params.yaml, or set none",
    )
    state = torch.load(path, map_location="cpu", weights_only=True)
    return state, {"source": "imagenet", "url": weights.url}


def from_file(path: Path) -> tuple[dict[str, "Tensor"], dict[str, str]]:
    """Read a user's file; return the weights, and the file's name and digest.

    A file that is missing or not a plain state dict is an `InputError`. Only tensors are unpickled.
    """
    import torch

    if not path.is_file():
        raise InputError(f"params.yaml: weights = {path}: there is no such file; give a path, imagenet or none")
    sha256 = hashlib.sha256(path.read_bytes()).hexdigest()
    if path.suffix == ".safetensors":
        return read_tensors(path)[0], {"source": path.name, "sha256": sha256}
    try:
        state = torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:  # torch raises several types of error for a file that it did not write
        raise InputError(f"{path} is not a state dict that torch.load reads with weights_only: {error}") from None
    if not isinstance(state, dict) or not all(isinstance(value, torch.Tensor) for value in state.values()):
        raise InputError(f"{path} must hold a plain state dict, names to tensors: save model.state_dict()")
    return _unwrapped(state), {"source": path.name, "sha256": sha256}


def _unwrapped(state: dict[str, "Tensor"]) -> dict[str, "Tensor"]:
    """Remove the prefixes that all names of the state dict share, such as `module.` of DataParallel."""
    for wrapper in WRAPPERS:
        if state and all(name.startswith(wrapper) for name in state):
            return _unwrapped({name.removeprefix(wrapper): value for name, value in state.items()})
    return state
