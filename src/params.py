"""What parameters are: strict, typed, frozen sections of `params.yaml`, and how they are read.

Each module declares the section that it uses, beside the code that uses it, and each stage the sections that it reads:
a new method's numbers then make no other method's outputs stale. `stages/check.py` puts all of them together.
The file is read as YAML 1.2: `dvc exp run -S train.lr=1e-5` writes `1e-05`, which YAML 1.1 readers take for a string.
"""

from pathlib import Path
from typing import Annotated, Any, TypeVar

from pydantic import BaseModel, ConfigDict, Field, ValidationError
from ruamel.yaml import YAML
from ruamel.yaml.error import YAMLError

from src.errors import InputError

Count = Annotated[int, Field(ge=1)]
Seed = Annotated[int, Field(ge=0, lt=2**32)]  # what NumPy, PyTorch and liblinear all take
Positive = Annotated[float, Field(gt=0, allow_inf_nan=False)]
NonNegative = Annotated[float, Field(ge=0, allow_inf_nan=False)]
Fraction = Annotated[float, Field(ge=0, le=1)]


class Section(BaseModel):
    """A part of the parameters: unknown keys and values of another type are errors."""

    model_config = ConfigDict(extra="forbid", strict=True, frozen=True)


class Sections(BaseModel):
    """The sections that one stage reads; those of other stages are passed over."""

    model_config = ConfigDict(extra="ignore", strict=True, frozen=True)


Chosen = TypeVar("Chosen", bound=BaseModel)


class ParamsError(InputError):
    """Parameters that cannot be used: a line for each, with its key, its value and what was expected."""


def read_params(path: str | Path, model: type[Chosen]) -> Chosen:
    """The sections of a file that `model` names; `ParamsError` where it is no YAML or has a wrong key or value."""
    try:
        content: Any = YAML(typ="safe").load(Path(path).read_text())
    except YAMLError as error:
        raise ParamsError(f"{path} is not valid YAML: {error}") from None
    if not isinstance(content, dict):
        raise ParamsError(f"{path} must hold sections, such as `train:`, and holds {content!r}")
    return validated(content, model, f"{path}: ")


def validated(content: Any, model: type[Chosen], where: str) -> Chosen:
    """What was read, as `model`; `ParamsError` where it has a wrong key or value, which is named behind `where`."""
    try:
        return model.model_validate(content)
    except ValidationError as error:
        raise ParamsError("\n".join(_line(where, item) for item in error.errors())) from None


def _line(where: str, item: Any) -> str:
    key = (where + ".".join(str(part) for part in item["loc"])).rstrip(".")  # a section as a whole has no key in it
    if item["type"] == "missing":
        return f"{key} is missing"
    if item["type"] == "extra_forbidden":
        return f"{key} = {item['input']!r}: there is no such parameter"
    value = "" if isinstance(item["input"], dict | BaseModel) else f" = {item['input']!r}"
    return f"{key}{value}: {item['msg'].removeprefix('Value error, ')}"
