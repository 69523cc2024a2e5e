"""The stages of `dvc.yaml`, with `foreach` and `${...}` filled in as DVC does, and the graph of their dependencies."""

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
    outs: list[str]  # including metrics and plots

    @property
    def group(self) -> str:
        """The name without its item, such as "prepare"."""
        return self.name.split("@")[0]


def read_pipeline(pipeline: Path, parameters: Path) -> list[Stage]:
    """Read the stages of `dvc.yaml` in its order; a variable that the parameters lack is an `InputError`."""
    yaml = YAML(typ="safe")
    values, stages = yaml.load(parameters.read_text()), yaml.load(pipeline.read_text())["stages"]
    return [stage for name, content in stages.items() for stage in _stages(name, content, values)]


def graph(stages: Sequence[Stage]) -> nx.DiGraph:
    """Build a graph with groups of stages as nodes, and an edge to each group from the groups whose outputs it reads.

    An edge that a longer path implies is left out. Nodes are in the order of the stages and have the `desc` of the
    group's first stage. A group has no edge to itself, because a pipeline has no cycles.
    """
    complete = nx.DiGraph()
    for stage in reversed(stages):
        complete.add_node(stage.group, desc=stage.desc)
    for stage in stages:
        for other in stages:
            if other.group != stage.group and any(_overlap(dep, out) for dep in stage.deps for out in other.outs):
                complete.add_edge(other.group, stage.group)
    reduced = nx.transitive_reduction(complete)
    ordered = nx.DiGraph()
    ordered.add_nodes_from((name, complete.nodes[name]) for name in dict.fromkeys(stage.group for stage in stages))
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
        if isinstance(item, str) and (whole := VARIABLE.fullmatch(item)):
            item = _value(whole[1], values)
        yield _stage(f"{name}@{key}", content["do"], {**values, "key": key, "item": item})


def _stage(name: str, content: Mapping[str, Any], values: Mapping[str, Any]) -> Stage:
    outs = [out for key in ("outs", "metrics", "plots") for out in content.get(key, [])]
    paths = [next(iter(out)) if isinstance(out, Mapping) else out for out in outs]
    return Stage(
        name,
        _filled(content.get("desc", ""), values),
        [_filled(dep, values) for dep in content.get("deps", [])],
        [_filled(path, values) for path in paths],
    )


def _filled(text: str, values: Mapping[str, Any]) -> str:
    return VARIABLE.sub(lambda match: str(_value(match[1], values)), text)


def _value(key: str, values: Any) -> Any:
    for part in key.split("."):
        if not isinstance(values, Mapping) or part not in values:
            raise InputError(f"dvc.yaml names ${{{key}}}, which the parameters lack")
        values = values[part]
    return values


def _overlap(path: str, other: str) -> bool:
    """Check that two paths are equal, or that one is a folder that holds the other."""
    return path == other or path.startswith(f"{other}/") or other.startswith(f"{path}/")
