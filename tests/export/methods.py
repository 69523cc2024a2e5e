"""Methods with tiny untrained networks, whose outputs are scaled up so that they differ from one another."""

from pathlib import Path

import torch

from commands.trained import Params, load
from src.files.weights import read_tensors, write_tensors
from src.params import read_params
from src.prediction.classifier import Classifier
from src.prediction.dense import Dense
from src.prediction.rcnn import Rcnn

CPU = torch.device("cpu")
LOUD = 2.0  # factor on the heads' weights, because untrained scores are nearly equal


def method(name: str) -> Dense | Classifier:
    """Load a method from the working directory, with scaled-up heads."""
    found = load(read_params("params.yaml", Params), name, CPU)
    assert not isinstance(found, Rcnn)
    found.net.load_state_dict(loud(found.net.state_dict()))
    return found


def loud(tensors: dict[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    """Scale up the weights of the heads that give scores and deltas."""
    heads = ("classify", "regress", "objectness")
    return {name: value * LOUD if name.startswith(heads) else value for name, value in tensors.items()}


def make_certain(path: Path) -> None:
    """Change the SSD in a model file so that some of its scores are above 0.5."""
    tensors, facts = read_tensors(path)
    certain = {name: value * 300 if name.startswith("classify") else value for name, value in tensors.items()}
    write_tensors(path, certain, facts)
