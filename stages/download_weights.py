"""The weights that a network starts from, as one safetensors file: ImageNet's, a file's, our own, or none at all."""

import hashlib
import shutil
from pathlib import Path
from typing import TYPE_CHECKING

from src.errors import InputError
from src.files.storage import atomic
from src.files.weights import read_tensors, write_tensors
from src.params import Sections
from stages.command import command

if TYPE_CHECKING:  # two seconds, which the sample's `none` and `pretrained` do without
    from torch import Tensor

NOTHING = Path()
WRAPPERS = ("module.", "_orig_mod.", "model.", "backbone.")  # put before every name by DataParallel, compile, trainers


class Params(Sections):
    """Nothing: the parameters come on the command line, for each network has its own."""


def run(params: Params, *, backbone: str, weights: str, out: Path, pretrained: Path = NOTHING) -> None:
    """Write the weights that `weights` names: imagenet, a path, pretrained, or none for a file without tensors."""
    if weights == "pretrained":
        if pretrained == NOTHING:
            raise InputError("params.yaml: weights = pretrained is for finetune alone: give imagenet, a path or none")
        with atomic(out) as path:
            shutil.copyfile(pretrained, path)
        print(f"{pretrained}, as it is")
        return
    if weights == "none":
        tensors: dict[str, Tensor] = {}
        facts = {"source": "none"}
    elif weights == "imagenet":
        tensors, facts = _imagenet(backbone)
    else:
        tensors, facts = _file(Path(weights))
    write_tensors(out, tensors, facts)
    print(f"{len(tensors)} tensors, source: {facts['source']}")


def _imagenet(backbone: str) -> tuple[dict[str, "Tensor"], dict[str, str]]:
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


def _file(path: Path) -> tuple[dict[str, "Tensor"], dict[str, str]]:
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


if __name__ == "__main__":
    command(run)
