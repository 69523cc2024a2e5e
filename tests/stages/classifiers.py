"""The parameters of the repository with short trainings, for the tests of the classifiers' stages."""

from typing import Any

from ruamel.yaml import YAML

from commands.write_deps import ROOT
from src.training.settings import Train

SMALL = {"epochs": 1, "batch_size": 10}


def content() -> dict[str, Any]:
    """params.yaml, with a small network and one epoch for each classifier."""
    found = YAML(typ="safe").load((ROOT / "params.yaml").read_text())
    for section in found["classifiers"].values():
        section["train"] = {**section["train"], **SMALL}
        section["model"]["width"] = 0.25
        section["input"]["size"] = [32, 32]
    return found


def params(model: Any, **changes: dict[str, Any]) -> Any:
    """The sections that a stage reads, with keys of the section mobilenet_v3 changed."""
    found = content()
    section = found["classifiers"]["mobilenet_v3"]
    for name, value in changes.items():
        section[name] = {**section[name], **value} if isinstance(section[name], dict) else value
    found["train"] = Train.model_validate(found["train"])
    return model.model_validate(found)
