"""Nested mappings, such as parameters and metrics, with dotted keys."""

from collections.abc import Iterator, Mapping
from typing import Any


def flatten(values: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, Any]]:
    """Yield each leaf with the keys above it, joined by dots; an empty mapping yields nothing.

    >>> dict(flatten({"train": {"lr": 0.1, "epochs": 2}, "seed": 0}))
    {'train.lr': 0.1, 'train.epochs': 2, 'seed': 0}
    """
    for key, value in values.items():
        if isinstance(value, Mapping):
            yield from flatten(value, f"{prefix}{key}.")
        else:
            yield f"{prefix}{key}", value
