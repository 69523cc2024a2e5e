"""Strict, typed, frozen sections of `params.yaml`, and the functions that read them.

Each module declares the section that it uses, beside the code that uses it, and each stage declares the sections that
it reads. So the parameters of a new method make no other method's outputs stale. `src/schema.py` puts all sections
together. The file is read as YAML 1.2, because `dvc exp run -S train.lr=1e-5` writes `1e-05`: a string in YAML 1.1.

YAML is read within bounds, because a small file may stand for any number of values, or crash its parser: an alias
repeats a part of the file, so ten lines of aliases stand for billions of values, and the parser in C calls itself for
each level, so 100,000 brackets end the process. Both are counted in the stream of events, before anything is built.
"""

from pathlib import Path
from typing import Annotated, Any, TypeVar

from pydantic import BaseModel, ConfigDict, Field, ValidationError
from ruamel.yaml import YAML
from ruamel.yaml.error import YAMLError
from ruamel.yaml.events import AliasEvent, CollectionEndEvent, CollectionStartEvent, NodeEvent

from src.errors import InputError

SHOWN = 200  # characters of a wrong value in a message
MOST = 10_000_000  # nothing here has more steps, pixels or images; a number above it is a slip of the keyboard
Count = Annotated[int, Field(ge=1, le=MOST)]
MAX_BYTES = 1 << 20
MAX_DEPTH = 50
MAX_VALUES = 100_000  # with what aliases repeat
Seed = Annotated[int, Field(ge=0, lt=2**32)]  # the range that NumPy, PyTorch and liblinear all accept
Positive = Annotated[float, Field(gt=0, le=1e9, allow_inf_nan=False)]
NonNegative = Annotated[float, Field(ge=0, le=1e9, allow_inf_nan=False)]
Fraction = Annotated[float, Field(ge=0, le=1)]


class Section(BaseModel):
    """A part of the parameters: unknown keys and values of another type are errors."""

    model_config = ConfigDict(extra="forbid", strict=True, frozen=True)


class Sections(BaseModel):
    """The sections that one stage reads; sections of other stages are ignored."""

    model_config = ConfigDict(extra="ignore", strict=True, frozen=True)


Chosen = TypeVar("Chosen", bound=BaseModel)


class ParamsError(InputError):
    """Parameters that cannot be used: one line per problem, with the key, the value and what was expected."""


def read_params(path: str | Path, model: type[Chosen]) -> Chosen:
    """Read the sections of a file that `model` names; `ParamsError` if it is not YAML or has a wrong key or value."""
    try:
        content: Any = load_yaml(yaml_text(Path(path)))
    except YAMLError as error:
        raise ParamsError(f"{path} is not valid YAML: {error}") from None
    if not isinstance(content, dict):
        raise ParamsError(f"{path} must hold sections, such as `train:`, but it holds {_short(content)}")
    return validated(content, model, f"{path}: ")


def validated(content: Any, model: type[Chosen], prefix: str) -> Chosen:
    """Return `content` as `model`; a wrong key or value is a `ParamsError` that names it after `prefix`."""
    try:
        return model.model_validate(content)
    except ValidationError as error:
        raise ParamsError("\n".join(_line(prefix, item) for item in error.errors())) from None


def _line(prefix: str, item: Any) -> str:
    key = (prefix + ".".join(str(part) for part in item["loc"])).rstrip(".")  # no key if the whole section is wrong
    if item["type"] == "missing":
        return f"{key} is missing"
    if item["type"] == "extra_forbidden":
        return f"{key} = {_short(item['input'])}: there is no such parameter"
    value = "" if isinstance(item["input"], dict | BaseModel) else f" = {_short(item['input'])}"
    return f"{key}{value}: {item['msg'].removeprefix('Value error, ')}"


def _short(value: Any) -> str:
    text = repr(value)
    return text if len(text) <= SHOWN else f"{text[:SHOWN]}..."


def yaml_text(path: Path) -> str:
    """Return the text of a YAML file; a `YAMLError` if it is no file, no UTF-8, or longer than `MAX_BYTES`."""
    if path.exists() and not path.is_file():
        raise YAMLError("it is a folder, a pipe or a device: write a file")
    with path.open("rb") as file:
        content = file.read(MAX_BYTES + 1)
    if len(content) > MAX_BYTES:
        raise YAMLError(f"it is longer than {MAX_BYTES >> 20} MiB: shorten it")
    try:
        return content.decode("utf-8-sig")
    except UnicodeDecodeError:
        raise YAMLError("it is not UTF-8 text: save it as UTF-8") from None


def load_yaml(text: str) -> Any:
    """Return the content of a YAML text; a `YAMLError` if it is none, or beyond the bounds above."""
    try:
        _count(text)
        return YAML(typ="safe").load(text)
    except (ValueError, TypeError, OverflowError, RecursionError) as error:  # a date without a day, 5,000 digits
        raise YAMLError(str(error)) from None


def _count(text: str) -> None:
    """Count levels and values; an alias counts as many values as the part that it repeats."""
    sizes: dict[str, int] = {}  # values below each anchor
    open_parts: list[tuple[str | None, int]] = []  # anchor, and the number of values before the part
    values = 0
    for event in YAML(typ="safe").parse(text):
        if isinstance(event, AliasEvent):
            values += sizes.get(event.anchor, 1)
        elif isinstance(event, NodeEvent):
            values += 1
            if isinstance(event, CollectionStartEvent):
                open_parts.append((event.anchor, values - 1))
            elif event.anchor:
                sizes[event.anchor] = 1
        elif isinstance(event, CollectionEndEvent):
            anchor, before = open_parts.pop()
            if anchor:
                sizes[anchor] = values - before
        if len(open_parts) > MAX_DEPTH:
            raise YAMLError(f"more than {MAX_DEPTH} sections are inside one another: make it flatter")
        if values > MAX_VALUES:
            raise YAMLError(f"it stands for more than {MAX_VALUES} values, with those that aliases repeat: shorten it")
