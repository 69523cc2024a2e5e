"""Files of a folder as the choices of a parameter: `load("backbones", "vgg16")` is src/backbones/vgg16.py."""

import importlib
import pkgutil
from pathlib import Path
from types import ModuleType
from typing import Any

from src.errors import InputError
from src.params import validated


def names(kind: str) -> list[str]:
    """Names of the files in src/<kind>, sorted."""
    return sorted(item.name for item in pkgutil.iter_modules([str(Path(__file__).parent / kind)]))


def load(kind: str, name: str) -> ModuleType:
    """The module; a name without a file is an error that lists those there are."""
    if name not in names(kind):
        raise InputError(f"there is no src/{kind}/{name}.py; known {kind}: {', '.join(names(kind))}")
    return importlib.import_module(f"src.{kind}.{name}")


def section(kind: str, sections: dict[str, Any], name: str) -> tuple[ModuleType, Any]:
    """The module, and its part of the parameters: `sections[name]`, as its `Params`."""
    module = load(kind, name)
    return module, validated(sections[name], module.Params, f"params.yaml: {kind}.{name}.")
