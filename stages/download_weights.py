"""Write a network's starting weights to a safetensors file: from ImageNet, a user's file, our pretraining, or none."""

import shutil
from pathlib import Path

from src.errors import InputError
from src.files.storage import atomic
from src.files.weights import write_tensors
from src.networks.weight_sources import read
from src.params import Sections
from stages.command import command

NOTHING = Path()


class Params(Sections):
    """No section: the parameters come on the command line, because each network has its own."""


def run(params: Params, *, backbone: str, weights: str, out: Path, pretrained: Path = NOTHING) -> None:
    """Write the weights that `weights` names: imagenet, a path, pretrained, or none for a file without tensors."""
    if weights == "pretrained":
        if pretrained == NOTHING:
            raise InputError("params.yaml: weights = pretrained is for finetune alone; use imagenet, a path or none")
        with atomic(out) as path:
            shutil.copyfile(pretrained, path)
        print(f"copied {pretrained}")
        return
    tensors, facts = read(weights, backbone)
    write_tensors(out, tensors, facts)
    print(f"{len(tensors)} tensors, source: {facts['source']}")


if __name__ == "__main__":
    command(run)
