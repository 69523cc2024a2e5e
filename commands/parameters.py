"""Write docs/parameters.md, a table of every parameter: `python -m commands.parameters`.

Types and ranges come from the typed models (src/schema.py), defaults and meanings from params.yaml and its comments,
and the stages from dvc.yaml. tests/commands/test_parameters.py holds the page current.
"""

import re
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from ruamel.yaml import YAML

from commands.write_deps import ROOT
from stages.command import command

PAGE = Path("docs/parameters.md")
PAIRED = ("data", "detectors", "classifiers")  # sections with a part per plug-in, which gets a table of its own
HEAD = """\
# Parameters

Written by `python -m commands.parameters` from the typed models, the comments of `params.yaml` and `dvc.yaml`: do not
edit this page. Set a parameter in `params.yaml`, or for one run with `dvc exp run -S KEY=VALUE`; KEY is the heading of
the table, a dot, and the key in its first column.

*Default* is the value of the sample. *Range* is what the stage `check` accepts; it also refuses values that do not fit
together. *Reruns* names the stages that read the parameter. Later stages run again if the output of such a stage
changes. `check` and `report` read every parameter and are left out. A profile (`profiles/`) replaces defaults for other
data.

A section `train` inside a trainer may hold every key of [`train`](#train): `-S +finetune.train.lr=1e-4` adds one.
"""
WORDS = {"integer": "integer", "number": "number", "boolean": "true, false", "string": "text"}
INTEGERS = {2**32: "2^32"}


class Row(NamedTuple):
    """One parameter."""

    key: str  # with the sections above it
    default: Any
    comment: str  # "" if params.yaml has none


def page(parameters: str, pipeline: Mapping[str, Any]) -> str:
    """Return the whole page.

    Args:
        parameters: the text of params.yaml.
        pipeline: the content of dvc.yaml.
    """
    content = YAML(typ="safe").load(parameters)
    notes = comments(parameters)
    from src.schema import Params  # here, not above: all methods and torch, for which --help does not wait

    schema = Params.model_json_schema()
    readers = tracked(pipeline, content)
    tables: dict[str, list[Row]] = {}
    for key, default in leaves(content, schema):
        tables.setdefault(_table_of(key), []).append(Row(key, default, _meaning(key, notes)))
    parts = [_table(heading, rows, notes, schema, readers) for heading, rows in tables.items()]
    return "\n".join([HEAD, *parts])


def leaves(values: Mapping[str, Any], schema: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, Any]]:
    """Yield each parameter with the sections above it, joined by dots, and its value in params.yaml.

    A mapping that is a value and no section, such as `class_weights`, is one parameter.
    """
    for key, value in values.items():
        name = f"{prefix}{key}"
        if isinstance(value, dict) and "properties" in _resolved(declared(schema, name), schema):
            yield from leaves(value, schema, f"{name}.")
        else:
            yield name, value


def declared(schema: Mapping[str, Any], key: str) -> Mapping[str, Any]:
    """Return the JSON schema of a parameter or section by its dotted name; a `KeyError` if there is none."""
    found = schema
    for part in key.split("."):
        found = _resolved(found, schema)["properties"][part]
    return found


def comments(text: str) -> dict[str, str]:
    r"""Return the comments of params.yaml by dotted key: the one on the key's line, and for a section those above it.

    >>> comments("# Of all.\na:  # first\n  b: 1  # second\n  c:\n    - 2  # no key\n")
    {'a': 'Of all. first', 'a.b': 'second'}
    """
    found: dict[str, str] = {}
    parents: list[tuple[int, str]] = []
    above: list[str] = []
    for line in text.splitlines():
        if line.startswith("# "):
            above.append(line[2:])
            continue
        if match := re.match(r"( *)(\w+):(?:\s+[^#\s][^#]*?)?(?:\s+#\s*(.*))?$", line):
            indent, key, comment = len(match[1]), match[2], match[3] or ""
            parents = [parent for parent in parents if parent[0] < indent] + [(indent, key)]
            words = " ".join([*above, comment]).strip()
            if words and key != "profile":  # the lines above `profile` are about the whole file
                found[".".join(name for _, name in parents)] = words
            elif comment:
                found[key] = comment
        above = []
    return found


def tracked(pipeline: Mapping[str, Any], content: Mapping[str, Any]) -> dict[str, list[str]]:
    """Return the stages that read each section or parameter, by its dotted name: as `params`, or in their command."""
    found: dict[str, list[str]] = {}
    for name, stage in pipeline["stages"].items():
        each, body = stage.get("foreach", [""]), stage.get("do", stage)
        section = each[2:-1] if isinstance(each, str) else ""
        in_texts = re.findall(r"\$\{([\w.]+)\}", " ".join([body["cmd"], *body.get("deps", [])]))
        keys = [*body.get("params", []), *(key for key in in_texts if "." in key)]
        for item in content[section] if section else each:
            above = each[item][2:-1] if isinstance(each, Mapping) else f"{section}.{item}"
            for key in [] if name == "report" else keys:
                filled = re.sub(r"^item\.", f"{above}.", key.replace("${key}", item).replace("${item}", item))
                found.setdefault(filled, []).append(f"{name}@{item}" if item else name)
    return found


def described(schema: Mapping[str, Any], whole: Mapping[str, Any]) -> tuple[str, str]:
    """Return the type, or the choices, and the range of a parameter in words; "" for no limit."""
    schema = _resolved(schema, whole)
    if "anyOf" in schema:
        pairs = [described(part, whole) for part in schema["anyOf"] if part.get("type") != "null"]
        kind = " or ".join(dict.fromkeys(kind for kind, _ in pairs))
        nullable = any(part.get("type") == "null" for part in schema["anyOf"])
        return kind + (", null" if nullable else ""), " or ".join(limits for _, limits in pairs if limits)
    if "enum" in schema or "const" in schema:
        return ", ".join(f"`{choice}`" for choice in schema.get("enum", [schema.get("const")])), ""
    if schema.get("type") == "array":
        kind, limits = described(schema.get("items", {}), whole)
        least, most = schema.get("minItems"), schema.get("maxItems")
        number = f"{least} x " if least and least == most else ""
        return f"list of {number}{kind}", limits + (f"{', ' * bool(limits)}not empty" if least and not most else "")
    if schema.get("type") == "object":
        kind, limits = described(schema.get("additionalProperties", {}), whole)
        return f"mapping to {kind}", limits
    return WORDS.get(schema.get("type", ""), "any"), _limits(schema)


def _limits(schema: Mapping[str, Any]) -> str:
    least, most = schema.get("minimum"), schema.get("maximum")
    if least is not None and most is not None:
        return f"{_number(least)} to {_number(most)}"
    signs = {"minimum": "≥", "exclusiveMinimum": ">", "maximum": "≤", "exclusiveMaximum": "<"}
    return ", ".join(f"{sign} {_number(schema[name])}" for name, sign in signs.items() if name in schema)


def _number(value: float) -> str:
    return INTEGERS.get(int(value), f"{value:g}")


def _resolved(schema: Mapping[str, Any], whole: Mapping[str, Any]) -> Mapping[str, Any]:
    """Follow a reference to another part of the schema."""
    while "$ref" in schema or "allOf" in schema:
        schema = schema["allOf"][0] if "allOf" in schema else whole["$defs"][schema["$ref"].rpartition("/")[2]]
    return schema


def _table_of(key: str) -> str:
    first, *others = key.split(".")
    if not others:
        return ""
    return f"{first}.{others[0]}" if first in PAIRED else first


def _meaning(key: str, notes: Mapping[str, str]) -> str:
    """Return the comment of a parameter or of the part above it, or a pointer to a parameter of the same name."""
    parts = key.split(".")
    above = ".".join(parts[:-1])
    if key in notes:
        return notes[key]
    if above in notes and parts[-2] != "train" and above != _table_of(key):
        return notes[above]
    twins = [other for other in notes if parts[0] in PAIRED and other.split(".")[::2][:1] == parts[::2][:1]]
    twins = [other for other in twins if other.split(".")[2:] == parts[2:]]
    if parts[0] == "pretrain_alexnet":
        twins.append(f"classifiers.mobilenet_v3.{'.'.join(parts[1:])}")
    if parts[-2:-1] == ["train"]:
        twins.append(f"train.{parts[-1]}")
    return next((f"as `{twin}`" for twin in twins if twin in notes), "")


def _table(
    heading: str,
    rows: Sequence[Row],
    notes: Mapping[str, str],
    schema: Mapping[str, Any],
    readers: Mapping[str, Sequence[str]],
) -> str:
    """Return a section of the page; stages that read all its parameters are named once, above the table."""
    stages = [_stages(row.key, readers) for row in rows]
    common = stages[0] if all(found == stages[0] for found in stages) else None
    lines = [f"## {heading or 'The run'}", ""]
    lines += [_text(notes[heading]), ""] if heading in notes else []
    lines += [f"Reruns: {common}.", ""] if common else []
    names = ["key", "type or choices", "range", "default", "meaning and source", *([] if common else ["reruns"])]
    lines += [_row(names), _row(["---"] * len(names))]
    for row, found in zip(rows, stages, strict=True):
        kind, limits = described(declared(schema, row.key), schema)
        key = row.key.removeprefix(f"{heading}.")
        cells = [f"`{key}`", kind, limits, f"`{_value(row.default)}`", _text(row.comment)]
        lines.append(_row(cells if common else [*cells, found]))
    return "\n".join([*lines, ""])


def _stages(key: str, readers: Mapping[str, Sequence[str]]) -> str:
    found = [stage for name, stages in readers.items() if f"{key}.".startswith(f"{name}.") for stage in stages]
    return ", ".join(f"`{stage}`" for stage in dict.fromkeys(found)) or "none"


def _value(value: Any) -> str:
    if isinstance(value, bool) or value is None:
        return {True: "true", False: "false", None: "null"}[value]
    if isinstance(value, list):
        return f"[{', '.join(_value(item) for item in value)}]"
    return str(value)


def _text(comment: str) -> str:
    return comment.replace("|", "\\|").replace("<name>", "NAME")


def _row(cells: Sequence[str]) -> str:
    return f"| {' | '.join(cells)} |"


def current() -> str:
    """Return the page for this folder's params.yaml and dvc.yaml."""
    pipeline = YAML(typ="safe").load((ROOT / "dvc.yaml").read_text())
    return page((ROOT / "params.yaml").read_text(), pipeline)


def run() -> None:
    """Write docs/parameters.md."""
    (ROOT / PAGE).write_text(current())


if __name__ == "__main__":
    command(run)
