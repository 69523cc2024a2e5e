"""Strict, typed, frozen sections of `params.yaml`, and the functions that read them.

Each module declares the section that it uses, beside the code that uses it, and each stage declares the sections that
it reads. So the parameters of a new method make no other method's outputs stale. `src/schema.py` puts all sections
together. The file is read as YAML 1.2, because `dvc exp run -S train.lr=1e-5` writes `1e-05`: a string in YAML 1.1.
"""

from pathlib import Path
from typing import Annotated, Any, TypeVar

from pydantic import BaseModel, ConfigDict, Field, ValidationError
from ruamel.yaml.error import YAMLError

from src.errors import InputError
from src.files import plain_yaml

SHOWN = 200  # characters of a wrong value in a message
MOST = 10_000_000  # nothing here has more steps, pixels or images; a number above it is a slip of the keyboard
Count = Annotated[int, Field(ge=1, le=MOST)]
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
        content: Any = plain_yaml.load(plain_yaml.read_text(Path(path)))
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
