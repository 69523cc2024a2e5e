"""Parameters and machine are sane, before anything is touched: the first stage, and the only one without outputs."""

from importlib.metadata import distributions
from pathlib import Path
from typing import Any

from pydantic import create_model

from src import plugins
from src.classifier_params import Pretrain
from src.errors import InputError
from src.params import Section, Seed, Splits, Train
from src.proposal_recall import Evaluate
from src.proposals.selective_search import SelectiveSearch
from src.rcnn.bbox import TrainBbox
from src.rcnn.detect import DetectRcnn
from src.rcnn.features import Features
from src.rcnn.finetune import PRETRAINED, Finetune
from src.rcnn.mining import TrainSvm
from src.rcnn.warp import Warp
from stages.command import command
from stages.environment import device, jobs, workers

DATASETS: Any = {name: (plugins.load("datasets", name).Params, ...) for name in plugins.names("datasets")}
DETECTORS: Any = {name: (plugins.load("detectors", name).Params, ...) for name in plugins.names("detectors")}


class Data(create_model("Data", __base__=Section, **DATASETS)):  # type: ignore[misc]
    """The section `data`: one part for each file in src/datasets."""


class Detectors(create_model("Detectors", __base__=Section, **DETECTORS)):  # type: ignore[misc]
    """The section `detectors`: one part for each file in src/detectors."""


CLASSIFIERS: Any = {name: (plugins.load("classifiers", name).Params, ...) for name in plugins.names("classifiers")}


class Classifiers(create_model("Classifiers", __base__=Section, **CLASSIFIERS)):  # type: ignore[misc]
    """The section `classifiers`: one part for each file in src/classifiers."""


class Params(Section):
    """All of params.yaml: here, and here alone, a section that nobody reads is an error."""

    profile: str
    seed: Seed
    data: Data
    splits: Splits
    selective_search: SelectiveSearch
    warp: Warp
    train: Train
    pretrain_alexnet: Pretrain
    finetune: Finetune
    features: Features
    train_svm: TrainSvm
    train_bbox: TrainBbox
    detect_rcnn: DetectRcnn
    detectors: Detectors
    classifiers: Classifiers
    evaluate: Evaluate


def run(params: Params) -> None:
    """Raise for what would stop a later stage: the parameters themselves have been checked on the way here."""
    _check_opencv()
    _check_paths(params)
    print(f"profile {params.profile}: {jobs()} processes, {workers()} workers, device {device()}")


def _check_opencv() -> None:
    names = sorted({name for item in distributions() if (name := item.name.lower()).startswith("opencv")})
    if names != ["opencv-contrib-python-headless"]:
        raise InputError(
            f"installed OpenCV packages: {', '.join(names) or 'none'}; exactly opencv-contrib-python-headless must be "
            "(two overwrite each other, and only contrib has selective search): uninstall them all, then `make setup`"
        )


def _check_paths(params: Params) -> None:
    sources = {f"data.{name}.path": getattr(params.data, name) for name in DATASETS}
    paths = {key: section.path for key, section in sources.items() if section.source == "local"}
    weights = {"finetune.weights": params.finetune.weights}
    weights |= {f"detectors.{name}.weights": getattr(params.detectors, name).weights for name in DETECTORS}
    weights |= {f"classifiers.{name}.weights": getattr(params.classifiers, name).weights for name in CLASSIFIERS}
    named = {key: ("none", "imagenet") for key in weights} | {"finetune.weights": ("none", "imagenet", PRETRAINED)}
    paths |= {key: path for key, path in weights.items() if path not in named[key]}
    for key, path in paths.items():
        if path is not None and not Path(path).exists():
            raise InputError(
                f"params.yaml: {key} = {path!r}: there is no such file; give an absolute path "
                "(`dvc exp run --temp` runs in another folder)"
            )


if __name__ == "__main__":
    command(run)
