"""The stages that `dvc.yaml` declares, its `foreach` and `${...}` filled in as DVC does, and what stands on what."""

import re
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import networkx as nx
from ruamel.yaml import YAML

from src.errors import InputError

VARIABLE = re.compile(r"\$\{([\w.]+)\}")


class Stage(NamedTuple):
    """One stage as DVC runs it; paths are relative to the folder of `dvc.yaml`."""

    name: str  # "prepare@voc"
    desc: str
    deps: list[str]
    outs: list[str]  # metrics and plots among them

    @property
    def group(self) -> str:
        """The name without its item: "prepare"."""
        return self.name.split("@")[0]


def read_pipeline(pipeline: Path, parameters: Path) -> list[Stage]:
    """Every stage of `dvc.yaml`, in its order; a variable that the parameters lack is an `InputError`."""
    yaml = YAML(typ="safe")
    values, stages = yaml.load(parameters.read_text()), yaml.load(pipeline.read_text())["stages"]
    return [stage for name, content in stages.items() for stage in _stages(name, content, values)]


def graph(stages: Sequence[Stage]) -> nx.DiGraph:
    """Groups of stages as nodes, and an edge to each from those whose outputs it reads.

    An edge that a longer way implies is left out. Nodes stand in the order of the stages, with `desc`, of the group's
    first stage. A group that reads what itself writes would be a circle and cannot be in a pipeline.
    """
    found = nx.DiGraph()
    for stage in reversed(stages):
        found.add_node(stage.group, desc=stage.desc)
    for stage in stages:
        for other in stages:
            if other.group != stage.group and any(_overlap(dep, out) for dep in stage.deps for out in other.outs):
                found.add_edge(other.group, stage.group)
    reduced = nx.transitive_reduction(found)
    ordered = nx.DiGraph()
    ordered.add_nodes_from((name, found.nodes[name]) for name in dict.fromkeys(stage.group for stage in stages))
    ordered.add_edges_from(sorted(reduced.edges))
    return ordered


def _stages(name: str, content: Mapping[str, Any], values: Mapping[str, Any]) -> Iterator[Stage]:
    if "foreach" not in content:
        yield _stage(name, content, values)
        return
    items = content["foreach"]
    if isinstance(items, str):
        items = _value(items[2:-1], values)
    pairs = items.items() if isinstance(items, Mapping) else [(item, item) for item in items]
    for key, item in pairs:
        yield _stage(f"{name}@{key}", content["do"], {**values, "key": key, "item": item})


def _stage(name: str, content: Mapping[str, Any], values: Mapping[str, Any]) -> Stage:
    outs = [out for kind in ("outs", "metrics", "plots") for out in content.get(kind, [])]
    paths = [next(iter(out)) if isinstance(out, Mapping) else out for out in outs]
    return Stage(
        name,
        _filled(content.get("desc", ""), values),
        [_filled(dep, values) for dep in content.get("deps", [])],
        [_filled(path, values) for path in paths],
    )


def _filled(text: str, values: Mapping[str, Any]) -> str:
    return VARIABLE.sub(lambda found: str(_value(found[1], values)), text)


def _value(key: str, values: Any) -> Any:
    for part in key.split("."):
        if not isinstance(values, Mapping) or part not in values:
            raise InputError(f"dvc.yaml names ${{{key}}}, which the parameters lack")
        values = values[part]
    return values


def _overlap(one: str, other: str) -> bool:
    """Whether one path is the other or a folder above it."""
    return one == other or one.startswith(f"{other}/") or other.startswith(f"{one}/")
