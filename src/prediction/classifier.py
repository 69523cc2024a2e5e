"""A classifier for one image, with any network of src/classifiers.

The model file gives the network's own settings and the classes. params.yaml gives `classifiers.NAME.input` and
`classifiers.NAME.predict`, which the file does not hold.
"""

from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from src import plugins
from src.classification.inputs import transform
from src.classification.running import probabilities, start
from src.errors import InputError
from src.files.weights import read_tensors


class Classifier:
    """A trained classifier."""

    def __init__(self, classifiers: dict[str, Any], name: str, model: Path, device: torch.device) -> None:
        module, self.section = plugins.section("classifiers", classifiers, name)
        tensors, facts = read_tensors(model)
        if facts.get("classifier") != name:
            raise InputError(f"{model} holds {facts.get('classifier', 'something else')}, and not {name}")
        settings = type(self.section.model).model_validate(facts["model"])
        self.classes: list[str] = facts["classes"]
        net, _ = start(lambda: module.build(len(self.classes), settings), {}, "", seed=0)
        net.load_state_dict(tensors)
        self.net, self.device = net.to(device).eval(), device

    def input(self, image: np.ndarray) -> Tensor:
        """Return the network's input [3, S, T] for an RGB image, uint8 [H, W, 3]."""
        pixels: Tensor = transform(self.section.input)(torch.from_numpy(image).permute(2, 0, 1))
        return pixels

    def probabilities(self, image: np.ndarray) -> np.ndarray:
        """Return the probabilities [C], with sum 1, for an RGB image [H, W, 3].

        For a test image, they are those of the stage `evaluate_classifier`.
        """
        batch = self.input(image)[None].contiguous(memory_format=torch.channels_last).to(self.device)
        return probabilities(self.net, batch, flip=self.section.predict.flip)[0]
