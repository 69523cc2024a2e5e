"""How every stage is called: `python -m stages.NAME --images FILE ... --out FILE`, with the paths from `dvc.yaml`."""

import argparse
import inspect
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

from pydantic import BaseModel

from src.errors import InputError
from src.params import read_params
from stages import arithmetic

PARAMS = "params.yaml"


def command(run: Callable[..., None]) -> None:
    """Call `run(params, name=..., ...)` with one option on the command line for each of its arguments.

    An argument annotated `Path` is a path, a `str` a word, `list[str]` several words. An `InputError` ends the process
    with its message alone; any other error keeps its traceback, for it is ours.
    """
    parser = argparse.ArgumentParser(description=inspect.getmodule(run).__doc__, allow_abbrev=False)
    for name, argument in list(inspect.signature(run).parameters.items())[1:]:
        parser.add_argument(f"--{name.replace('_', '-')}", **_option(argument))
    try:
        arithmetic.mode()  # refuses a word that it does not know, before hours of work
        run(read_params(PARAMS, _model(run)), **vars(parser.parse_args()))
    except InputError as error:
        sys.exit(f"{Path(sys.argv[0]).stem}: {error}")


def _model(run: Callable[..., None]) -> type[BaseModel]:
    """The sections that the stage reads: the annotation of `run`'s first argument."""
    return next(iter(inspect.signature(run).parameters.values())).annotation


def _option(argument: inspect.Parameter) -> dict[str, Any]:
    options: dict[str, Any] = {"required": argument.default is inspect.Parameter.empty}
    if not options["required"]:
        options["default"] = argument.default
    if argument.annotation == list[str]:
        return {**options, "nargs": "+"}
    return {**options, "type": argument.annotation}
