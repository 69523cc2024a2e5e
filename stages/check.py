"""Parameters and machine are sane, before anything is touched: the stage that all others stand behind.

Its output says nothing but that it has passed. So it is the same after every run, and makes no other stage stale; but
DVC comes here first whichever stage is asked for, and where this one fails it touches no other stage's output.
"""

from collections.abc import Callable, Iterable
from functools import partial
from importlib.metadata import distributions
from pathlib import Path
from typing import Any

import torch
import torchvision
from pydantic import create_model
from torch import nn

from src import plugins
from src.classification.params import Pretrain
from src.detection.running import class_agnostic
from src.errors import InputError
from src.evaluation.proposal_recall import Evaluate
from src.files.storage import atomic
from src.params import Section, Seed
from src.proposals.selective_search import SelectiveSearch
from src.rcnn import network
from src.rcnn.bbox import TrainBbox
from src.rcnn.detect import DetectRcnn
from src.rcnn.features import Features
from src.rcnn.finetune import PRETRAINED, Finetune
from src.rcnn.mining import TrainSvm
from src.rcnn.warp import Warp
from src.splits import Splits
from src.training.loop import LAST
from src.training.settings import Train
from stages.command import command
from stages.environment import computed_by, device, jobs, workers

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
    sample_seed: Seed
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


def run(params: Params, *, out: Path) -> None:
    """Raise for what would stop a later stage; types and ranges of the parameters were checked on the way here."""
    _check_opencv()
    _check_paths(params)
    check_names(params)
    check_best_by(params)
    check_networks(params)
    with atomic(out) as path:
        path.write_text("passed\n")
    print(f"profile {params.profile}: {jobs()} processes, {workers()} workers, {device()}, arithmetic {computed_by()}")


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


def check_names(params: Params) -> None:
    """Raise where a parameter names a data set or proposals that there are not."""
    labelled = [name for name in DATASETS if plugins.load("datasets", name).TASK == "labels"]
    proposals = [*plugins.names("proposals"), *filter(class_agnostic, DETECTORS)]
    names: dict[str, tuple[str, Iterable[str]]] = {
        "features.proposals": (params.features.proposals, proposals),
        "pretrain_alexnet.data": (params.pretrain_alexnet.data, labelled),
    }
    names |= {f"classifiers.{name}.data": (section.data, labelled) for name, section in params.classifiers}
    for name, section in params.detectors:
        names[f"detectors.{name}.model.backbone"] = (section.model.backbone, plugins.names("backbones"))
        if section.weights == "imagenet" and section.model.backbone not in torchvision.models.list_models():
            raise InputError(
                f"params.yaml: detectors.{name}.weights = 'imagenet': torchvision has none of "
                f"{section.model.backbone!r}; take another backbone, a path or none"
            )
    for key, (name, known) in names.items():
        if name not in known:
            raise InputError(f"params.yaml: {key} = {name!r}: it must be one of {', '.join(known)}")


def check_best_by(params: Params) -> None:
    """Raise where the best epoch is chosen by what can be no figure of the validation."""
    trainers: dict[str, Any] = {"finetune": params.finetune, "pretrain_alexnet": params.pretrain_alexnet}
    trainers |= {f"detectors.{name}": section for name, section in params.detectors}
    trainers |= {f"classifiers.{name}": section for name, section in params.classifiers}
    for key, section in trainers.items():
        name = section.train.over(params.train).best_by
        if name != LAST and not name.startswith("val_"):  # which figures there are depends on the losses
            where = f"{key}.train" if "best_by" in section.train.model_fields_set else "train"
            raise InputError(
                f"params.yaml: {where}.best_by = {name!r}: it must be {LAST} or a figure of the validation, such as "
                "val_loss or val_accuracy"
            )


def check_networks(params: Params) -> None:
    """Raise where a network cannot be built as its section says: on the device `meta`, without memory or arithmetic.

    Whether the images are large enough for it is not seen.
    """
    rules = params.finetune
    builds: dict[str, Callable[[], nn.Module]] = {
        "finetune": lambda: network.build(
            rules.backbone, 2, pool=rules.pool, hidden=rules.hidden, dropout=rules.dropout
        )
    }
    for kind, sections in (("detectors", params.detectors), ("classifiers", params.classifiers)):
        for name, section in sections:
            builds[f"{kind}.{name}"] = partial(plugins.load(kind, name).build, 2, section.model)
    for key, build in builds.items():
        try:
            with torch.device("meta"):
                build()
        except InputError as error:
            raise InputError(f"params.yaml: {key}.{error}") from None


if __name__ == "__main__":
    command(run)
