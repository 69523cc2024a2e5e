"""Files of a folder as the choices of a parameter: `load("backbones", "vgg16")` is src/backbones/vgg16.py."""

import importlib
import pkgutil
from collections.abc import Mapping
from pathlib import Path
from types import ModuleType
from typing import Any

from src.errors import InputError
from src.params import validated

SECTIONS = {"datasets": "data"}  # sections of params.yaml that are not called as their folder


def names(kind: str) -> list[str]:
    """List the files in src/<kind> by name, sorted."""
    return sorted(item.name for item in pkgutil.iter_modules([str(Path(__file__).parent / kind)]))


def load(kind: str, name: str) -> ModuleType:
    """Import a plug-in; a name without a file is an `InputError` that lists the names that exist."""
    if name not in names(kind):
        raise InputError(f"there is no src/{kind}/{name}.py; known {kind}: {', '.join(names(kind))}")
    return importlib.import_module(f"src.{kind}.{name}")


def section(kind: str, sections: Mapping[str, Any], name: str) -> tuple[ModuleType, Any]:
    """Import a plug-in, and read its part of the parameters.

    Args:
        kind: the folder.
        sections: the section of params.yaml that holds the parts of all plug-ins of the kind.
        name: the plug-in's.

    Returns:
        the module, and `sections[name]` as its `Params`; a wrong key or value is an `InputError`.
    """
    module = load(kind, name)
    return module, validated(sections[name], module.Params, f"params.yaml: {SECTIONS.get(kind, kind)}.{name}.")
