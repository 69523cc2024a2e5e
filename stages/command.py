"""Call a stage or a command from the command line: `python -m stages.NAME --images FILE ... --out FILE`.

The options follow from the signature of `run`, and the module's docstring is the help text. dvc.yaml holds the calls of
the stages.
"""

import argparse
import inspect
import os
import signal
import sys
import threading
from collections.abc import Callable, Sequence
from contextlib import nullcontext
from pathlib import Path
from types import NoneType, UnionType
from typing import Annotated, Any, Literal, get_args, get_origin

from pydantic import BaseModel, TypeAdapter, ValidationError

from src.errors import InputError
from src.params import read_params
from stages import arithmetic, group, inputs
from stages.edited import Before

PARAMS = "params.yaml"
STAGES = "stages"  # the folder of the scripts whose inputs are compared with what was written


def command(
    run: Callable[..., int | None],
    words: Sequence[str] | None = None,
    *,
    status: int = 1,
    trains: bool = False,
) -> None:
    """Call `run` with the arguments that the command line gives.

    Args:
        run: the function. If its first argument is a model of parameters, it gets these sections of params.yaml.
            Arguments before the `*` are positional on the command line; those after it are options, required if they
            have no default. Pydantic converts and checks each word by the annotation; `bool` is a flag, `Literal` a
            choice, and a list or a `Sequence` takes several words. The words of `Annotated[..., "words"]` are the help.
            The process exits with the status that `run` returns, if it is not 0.
        words: the command line; None is that of the process.
        status: exit status after an `InputError`, whose message alone is printed. Ctrl-C and SIGTERM end with a
            sentence too, and with 130 and 143, after the child processes. Any other error is a fault of ours and keeps
            its traceback.
        trains: the function may run in several processes at once, which train one network (stages/group.py).
    """
    arguments = list(inspect.signature(run, eval_str=True).parameters.values())
    model = arguments.pop(0).annotation if arguments and _is_model(arguments[0].annotation) else None
    name = Path(inspect.getfile(run)).stem
    options = vars(_parser(run, arguments).parse_args(words))
    positional = [options.pop(argument.name) for argument in arguments if _is_positional(argument)]
    received: list[int] = []
    handler = signal.getsignal(signal.SIGTERM)
    try:
        _like_ctrl_c(received)
        arithmetic.mode()  # refuses a word that it does not know, before hours of work
        sections = [] if model is None else [read_params(PARAMS, model)]
        here = group.to_start() if trains else 0
        already = trains and (group.started() or not group.first_here())  # another process on this machine looks
        folder = Path(inspect.getfile(run)).parent.name
        if folder == STAGES and not already:
            inputs.check([*positional, *options.values()])
        if here:
            group.start(f"{folder}.{name}", sys.argv[1:] if words is None else words, here)
            return
        ours = folder == STAGES and (not trains or group.is_first())  # the process that writes the outputs
        before = Before(PARAMS, *(sections or [None])) if ours else None
        with group.member() if trains else nullcontext():
            code = run(*sections, *positional, **options)
        if before:
            before.compare()
        if code:
            sys.exit(code)
    except InputError as error:
        if status == 1:
            sys.exit(f"{name}: {error}")
        print(f"{name}: {error}", file=sys.stderr)
        sys.exit(status)
    except KeyboardInterrupt:
        why, code = ("SIGTERM", 143) if received else ("Ctrl-C", 130)
        print(f"{name}: stopped by {why}; no file is half-written, and the same command goes on", file=sys.stderr)
        sys.exit(code)
    finally:
        if threading.current_thread() is threading.main_thread():
            signal.signal(signal.SIGTERM, handler)


def _like_ctrl_c(received: list[int]) -> None:
    """Let SIGTERM interrupt this process as Ctrl-C does, so that its temporary files and its children go too."""
    if threading.current_thread() is not threading.main_thread():
        return
    process = os.getpid()

    def interrupt(number: int, _: Any) -> None:
        if os.getpid() == process:  # a forked worker ends as it does after Ctrl-C, without a word
            received.append(number)
        raise KeyboardInterrupt

    signal.signal(signal.SIGTERM, interrupt)


def _parser(run: Callable[..., Any], arguments: Sequence[inspect.Parameter]) -> argparse.ArgumentParser:
    path = Path(inspect.getfile(run))
    parser = argparse.ArgumentParser(
        prog=f"python -m {path.parent.name}.{path.stem}",
        description=inspect.getdoc(inspect.getmodule(run)),
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    for argument in arguments:
        flag = argument.name if _is_positional(argument) else f"--{argument.name.replace('_', '-')}"
        parser.add_argument(flag, **_option(argument))
    return parser


def _is_model(annotation: Any) -> bool:
    return isinstance(annotation, type) and issubclass(annotation, BaseModel)


def _is_positional(argument: inspect.Parameter) -> bool:
    return argument.kind is inspect.Parameter.POSITIONAL_OR_KEYWORD


def _option(argument: inspect.Parameter) -> dict[str, Any]:
    """Return what argparse must know of one argument of `run`."""
    kind, words = argument.annotation, ""
    if get_origin(kind) is Annotated and isinstance(get_args(kind)[-1], str):
        inner, *limits, words = get_args(kind)  # nested annotations are one: the limits of `Count` come first
        kind = Annotated[inner, *limits] if limits else inner
    if get_origin(kind) is UnionType:
        kind = next(part for part in get_args(kind) if part is not NoneType)
    required, positional = argument.default is inspect.Parameter.empty, _is_positional(argument)
    option: dict[str, Any] = {"help": words}
    option |= {} if required else {"default": argument.default}
    option |= {} if positional else {"required": required}
    if kind is bool:
        return {"help": words, "default": argument.default, "action": "store_true"}
    if get_origin(kind) in (list, Sequence):
        kind = get_args(kind)[0]
        option["nargs"] = "*" if positional and not required else "+"
    elif positional and not required:
        option["nargs"] = "?"
    if get_origin(kind) is Literal:
        option["metavar"] = "|".join(get_args(kind))
    return {**option, "type": _converter(kind)}


def _converter(kind: Any) -> Callable[[str], Any]:
    """Return a function from a word to a value of the type; a word that does not fit names the reason."""

    def convert(word: str) -> Any:
        try:
            return TypeAdapter(kind).validate_python(word)
        except ValidationError as error:
            raise argparse.ArgumentTypeError(f"{word!r}: {error.errors()[0]['msg']}") from None

    return convert
