"""The checks that `check` makes before anything runs, beyond the types and ranges of src/schema.py.

Each check yields one sentence per problem, with the key, its value and the remedy, so that a user sees all problems at
once.
"""

from collections.abc import Callable, Collection, Iterator
from functools import partial
from importlib.metadata import distributions
from itertools import chain
from pathlib import Path
from typing import Any

import torch
import torchvision
from torch import nn

from src import plugins
from src.detection import steps
from src.detection.running import class_agnostic
from src.detection.training import VAL_MAP
from src.errors import InputError
from src.rcnn import network
from src.rcnn.finetune_settings import PRETRAINED
from src.schema import Params
from src.training.loop import LAST

OPENCV = "opencv-contrib-python-headless"


def check(params: Params) -> None:
    """Raise one `InputError` with a line per problem of the machine or the parameters; return if there is none."""
    checks = (paths, names, torchvision_weights, best_by, lengths_of_steps, networks)
    if problems := [*packages(), *chain.from_iterable(one_check(params) for one_check in checks)]:
        raise InputError("\n".join(problems))


def packages() -> Iterator[str]:
    """Refuse any set of OpenCV packages but the one of requirements.txt: two of them overwrite each other's files."""
    installed = sorted({name for item in distributions() if (name := item.name.lower()).startswith("opencv")})
    if installed != [OPENCV]:
        yield (
            f"installed OpenCV packages: {', '.join(installed) or 'none'}; exactly {OPENCV} must be installed (two "
            "overwrite each other, and only contrib has selective search): uninstall them all, then run `make setup`"
        )


def paths(params: Params) -> Iterator[str]:
    """Refuse files of the user's that do not exist: local data sets, and weights."""
    words = {"none", "imagenet"}
    given = {f"data.{name}.path": section.path for name, section in params.data if section.source == "local"}
    weights = {f"detectors.{name}.weights": section.weights for name, section in params.detectors}
    weights |= {f"classifiers.{name}.weights": section.weights for name, section in params.classifiers}
    weights |= {"finetune.weights": params.finetune.weights} if params.finetune.weights != PRETRAINED else {}
    given |= {key: path for key, path in weights.items() if path not in words}
    for key, path in given.items():
        if path is not None and not Path(path).exists():
            yield (
                f"params.yaml: {key} = {path!r}: there is no such file; give an absolute path "
                "(`dvc exp run --temp` runs in another folder)"
            )


def names(params: Params) -> Iterator[str]:
    """Refuse names of data sets, backbones and proposals that do not exist."""
    labelled = [name for name, _ in params.data if plugins.load("datasets", name).TASK == "labels"]
    proposals = [*plugins.names("proposals"), *(name for name, _ in params.detectors if class_agnostic(name))]
    given: dict[str, tuple[str, Collection[str]]] = {
        "features.proposals": (params.features.proposals, proposals),
        "pretrain_alexnet.data": (params.pretrain_alexnet.data, labelled),
    }
    given |= {f"classifiers.{name}.data": (section.data, labelled) for name, section in params.classifiers}
    given |= {
        f"detectors.{name}.proposals": (section.proposals, proposals)
        for name, section in params.detectors
        if hasattr(section, "proposals")
    }
    backbones = plugins.names("backbones")
    given |= {f"detectors.{name}.model.backbone": (part.model.backbone, backbones) for name, part in params.detectors}
    for key, (name, known) in given.items():
        if name not in known:
            yield f"params.yaml: {key} = {name!r}: it must be one of {', '.join(known)}"


def torchvision_weights(params: Params) -> Iterator[str]:
    """Refuse ImageNet weights of a backbone of which torchvision has none."""
    for name, section in params.detectors:
        if section.weights == "imagenet" and section.model.backbone not in torchvision.models.list_models():
            yield (
                f"params.yaml: detectors.{name}.weights = 'imagenet': torchvision has none of "
                f"{section.model.backbone!r}; take another backbone, a path or none"
            )


def best_by(params: Params) -> Iterator[str]:
    """Refuse a `best_by` that no validation can give."""
    trainers: dict[str, Any] = {"finetune": params.finetune, "pretrain_alexnet": params.pretrain_alexnet}
    trainers |= {f"detectors.{name}": section for name, section in params.detectors}
    trainers |= {f"classifiers.{name}": section for name, section in params.classifiers}
    with_map = {f"detectors.{name}" for name, _ in params.detectors if not class_agnostic(name)}
    wrong: dict[str, str] = {}
    for key, section in trainers.items():
        name = section.train.over(params.train).best_by
        if name == VAL_MAP and key not in with_map:
            yield (
                f"params.yaml: {key}.train.best_by = {VAL_MAP!r}: only a detector that distinguishes classes has a mAP "
                f"({', '.join(sorted(with_map))}): use val_loss"
            )
        if name != LAST and not name.startswith("val_"):  # which figures exist depends on the losses
            wrong[f"{key}.train" if "best_by" in section.train.model_fields_set else "train"] = name
    for section_key, name in wrong.items():
        yield (
            f"params.yaml: {section_key}.best_by = {name!r}: it must be {LAST} or a figure of the validation, such as "
            "val_loss or val_accuracy"
        )


def lengths_of_steps(params: Params) -> Iterator[str]:
    """Refuse steps of a training that do not add up to its epochs."""
    for name, section in params.detectors:
        epochs = section.train.over(params.train).epochs
        if wrong := steps.problem(plugins.load("detectors", name), section.loss, epochs):
            yield f"params.yaml: {wrong}"


def networks(params: Params) -> Iterator[str]:
    """Refuse networks that cannot be built, by building them on the device `meta`: no memory, no arithmetic.

    Whether the images are large enough for a network is not checked here.
    """
    rules = params.finetune
    options = {"pool": rules.pool, "hidden": rules.hidden, "dropout": rules.dropout}
    builds: dict[str, Callable[[], nn.Module]] = {
        "finetune": partial(network.build, rules.backbone, 2, **options)  # type: ignore[arg-type]
    }
    known = plugins.names("backbones")
    for kind, sections in (("detectors", params.detectors), ("classifiers", params.classifiers)):
        for name, section in sections:
            if kind == "classifiers" or section.model.backbone in known:  # else `names` has refused it
                builds[f"{kind}.{name}"] = partial(plugins.load(kind, name).build, 2, section.model)
    for key, build in builds.items():
        try:
            with torch.device("meta"):
                build()
        except InputError as error:
            yield f"params.yaml: {key}.{error}"
