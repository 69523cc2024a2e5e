"""A dense detector for one image: SSD, the RPN, or any other file in src/detectors.

The model file gives the network's own settings and the classes. params.yaml gives `detectors.NAME.decode`.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from src import plugins
from src.detection.augmentation import PROPOSAL, apply, transform
from src.detection.running import class_agnostic, forward, start
from src.detection.sizes import size_of, stacked
from src.errors import InputError
from src.files.records import Record
from src.files.weights import read_tensors
from src.prediction.proposer import Propose

NO_OBJECTS: Record = {"boxes": np.zeros((0, 4), np.float32), "labels": np.zeros(0, np.int64)}
OBJECT = "object"


class Dense:
    """A trained dense detector; `propose` is the method of proposals of one that takes them as an input."""

    def __init__(
        self, detectors: dict[str, Any], name: str, model: Path, device: torch.device, propose: Propose | None = None
    ) -> None:
        self.module, section = plugins.section("detectors", detectors, name)
        tensors, facts = read_tensors(model)
        if facts.get("detector") != name:
            raise InputError(f"{model} holds {facts.get('detector', 'something else')}, and not {name}")
        trained = type(section.model).model_validate(facts["model"])
        self.section = section.model_copy(update={"model": trained})
        self.classes: list[str] = [OBJECT] if class_agnostic(name) else facts["classes"]
        net, _ = start(self.module, self.section, len(facts["classes"]) + 1, {}, seed=0)
        net.load_state_dict(tensors)
        self.net, self.device, self.propose = net.to(device).eval(), device, propose
        self.size = size_of(trained)
        self.steps = transform(self.size)

    def input(self, image: np.ndarray) -> Tensor:
        """Return the network's input [3, S, S] for an RGB image, uint8 [H, W, 3]; padded if the model keeps aspects."""
        return stacked([apply(self.steps, image, NO_OBJECTS)[0]], self.size)[0]

    def outputs(self, image: np.ndarray, image_id: str = "") -> dict[str, Tensor]:
        """Return the network's outputs for an RGB image [H, W, 3], before any threshold.

        The id seeds the order of selective search's proposals, for a detector that takes them.
        """
        with torch.inference_mode():
            images = self.input(image)[None].contiguous(memory_format=torch.channels_last).to(self.device)
            targets = {"sizes": torch.tensor([self.size.scaled(image.shape[:2])], device=self.device)}
            if self.propose is not None:
                targets["proposals"] = self.seen(image, self.propose(image, image_id))[None].to(self.device)
            batch = {"images": images, "targets": targets}
            outputs = forward(self.module, self.net, batch, self.section, learning=False)
            return {name: value.cpu() for name, value in outputs.items()}

    def seen(self, image: np.ndarray, proposals: np.ndarray) -> Tensor:
        """Convert proposals [N, 4] of an image [H, W, 3] to pixels of the input."""
        boxes = np.asarray(proposals, np.float32).reshape(-1, 4)
        return apply(self.steps, image, {"boxes": boxes, "labels": np.full(len(boxes), PROPOSAL)})[1]["boxes"]

    def finish(self, outputs: Mapping[str, Tensor], size: tuple[int, int], **changes: float) -> Record:
        """Return detections {boxes [K, 4], labels [K] from 1, scores [K]} by descending score, in pixels of the image.

        Args:
            outputs: the result of the method `outputs`.
            size: (height, width) of the image.
            changes: values for keys of `detectors.NAME.decode` that replace the pipeline's.
        """
        rules = self.section.decode.model_copy(update=changes)
        with torch.inference_mode():
            record = self.module.decode(outputs, [size], rules)[0]
        return {name: value.numpy() for name, value in record.items()}

    def detect(self, image: np.ndarray, image_id: str) -> Record:
        """Return the detections in an RGB image [H, W, 3]; for a test image, they are those of the pipeline's stage."""
        return self.finish(self.outputs(image, image_id), image.shape[:2])
