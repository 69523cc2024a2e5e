"""The trained models by name: their files, as dvc.yaml places them, and the stages that make them.

The functions import torch, and the modules do not: a command prints its help, or refuses a name, without it.
"""

from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from src.errors import InputError
from src.params import Sections, Seed
from src.proposals import selective_search
from src.rcnn.detect import DetectRcnn
from src.rcnn.features import Features
from src.rcnn.warp import Warp

if TYPE_CHECKING:
    import torch

    from src.prediction.classifier import Classifier
    from src.prediction.dense import Dense
    from src.prediction.proposer import Propose
    from src.prediction.rcnn import Rcnn

MODELS = Path("models")
RCNN = "rcnn"


class Params(Sections):
    """The sections that predictions depend on; the rest is in the model files."""

    seed: Seed
    selective_search: selective_search.SelectiveSearch
    warp: Warp
    features: Features
    detect_rcnn: DetectRcnn
    detectors: dict[str, Any]
    classifiers: dict[str, Any]

    def names(self) -> list[str]:
        """Return the methods: R-CNN, every section of `detectors` and every section of `classifiers`."""
        return [RCNN, *self.detectors, *self.classifiers]

    def check(self, name: str) -> None:
        """Refuse a name of no method with an `InputError` that lists the known ones."""
        if name not in self.names():
            raise InputError(f"there is no trained method {name!r}; params.yaml has {', '.join(self.names())}")


def existing(path: Path, stage: str) -> Path:
    """Return the path of a stage's output; a missing file is an `InputError` that names the stage that makes it."""
    if not path.exists():
        raise InputError(f"{path} is missing: run `dvc repro {stage}`, which makes it")
    return path


def load(params: Params, name: str, device: "torch.device") -> "Rcnn | Dense | Classifier":
    """Load a method with its trained weights; an unknown name is an `InputError` that lists the known ones."""
    params.check(name)
    if name == RCNN:
        return rcnn(params, device)
    if name in params.detectors:
        return dense(params, name, device)
    model = existing(MODELS / f"{name}.safetensors", f"train_classifier@{name}")

    from src.prediction.classifier import Classifier

    return Classifier(params.classifiers, name, model, device)


def training_stage(section: dict[str, Any], name: str) -> str:
    """Return the stage that trains a dense detector, from its section."""
    return f"train_{'on_proposals' if 'proposals' in section else 'detector'}@{name}"


def dense(params: Params, name: str, device: "torch.device") -> "Dense":
    """Load a dense detector, with its method of proposals if it takes them as an input."""
    section = params.detectors[name]
    model = existing(MODELS / f"{name}.safetensors", training_stage(section, name))

    from src.prediction.dense import Dense

    method = section.get("proposals")
    propose = proposer(params, device, method, f"detectors.{name}.proposals") if method else None
    return Dense(params.detectors, name, model, device, propose)


def rcnn(params: Params, device: "torch.device") -> "Rcnn":
    """Load R-CNN, with the proposal method that `features.proposals` names."""
    from src.prediction.rcnn import Rcnn

    return Rcnn(
        existing(MODELS / f"{RCNN}.safetensors", "finetune"),
        existing(MODELS / "svm.npz", "train_svm"),
        existing(MODELS / "bbox.npz", "train_bbox"),
        propose=proposer(params, device, params.features.proposals, "features.proposals"),
        settings=params.warp,
        map_side=params.features.side,
        layer=params.features.layer,
        precision=params.features.precision,
        rules=params.detect_rcnn,
        device=device,
    )


def proposer(params: Params, device: "torch.device", name: str, key: str) -> "Propose":
    """Return a proposal method: selective search, or a dense detector's boxes; `key` is the parameter that names it."""
    if name == "selective_search":
        return partial(_search, params)
    if name in params.detectors and "proposals" not in params.detectors[name]:
        return partial(_boxes, dense(params, name, device))
    raise InputError(f"params.yaml: {key} = {name!r}: it must be selective_search or a detector without proposals")


def _search(params: Params, image: np.ndarray, image_id: str) -> np.ndarray:
    options = params.selective_search.model_dump()
    return selective_search.propose(image, **options, seed=params.seed, image_id=image_id)


def _boxes(detector: "Dense", image: np.ndarray, image_id: str) -> np.ndarray:
    return detector.detect(image, image_id)["boxes"]
