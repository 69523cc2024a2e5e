"""A classifier on one image, whatever its network.

From the model file: the network's own settings and the classes. From params.yaml: `classifiers.NAME.input` and
`classifiers.NAME.predict`, which the file does not hold.
"""

from pathlib import Path
from typing import Any, cast

import numpy as np
import torch

from src import plugins
from src.classification.batches import LabelledBatches
from src.classification.running import predict, start
from src.errors import InputError
from src.files.labelled_images import LabelledImages
from src.files.weights import read_tensors


class OnePhoto:
    """What `LabelledBatches` reads of a data set, for one image in memory whose label nobody knows."""

    path = "the photo"

    def __init__(self, image: np.ndarray, classes: list[str]) -> None:
        self._image, self.classes = image, classes

    def image(self, image_id: str) -> np.ndarray:
        """RGB image, uint8 [H, W, 3]."""
        return self._image

    def label(self, image_id: str) -> int:
        """A number that nothing looks at."""
        return 0


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

    def probabilities(self, image: np.ndarray) -> np.ndarray:
        """Of each class [C], of sum 1, of an RGB image [H, W, 3]; of a test image, those of `evaluate_classifier`."""
        photo = cast(LabelledImages, OnePhoto(image, self.classes))
        batches = LabelledBatches(photo, ["photo"], self.section.input, batch_size=1)
        _, scores = predict(self.net, batches, self.device, flip=self.section.predict.flip)
        return scores[0]
