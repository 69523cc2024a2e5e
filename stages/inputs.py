"""Compare the inputs of a stage with what other stages wrote: a bit that flipped on the disk ends in a sentence.

DVC compares size and time alone. Here the content is hashed, which costs 3 s per GB, and compared with `dvc.lock`. DVC
writes that file after each stage, so within a run it names the inputs that the run itself has just made.
"""

import os
import re
import sys
import time
from collections.abc import Iterable, Mapping
from pathlib import Path

from ruamel.yaml import YAML
from ruamel.yaml.error import YAMLError

from src.errors import InputError
from src.files.locked import LOCK, Output, outputs, sentence

STAGE = "DVC_STAGE"  # DVC gives each stage its own name in this variable
PIPELINE = Path("dvc.yaml")
MADE = ("data/", "models/", "metrics/")  # the folders of the pipeline's outputs
ATTEMPTS, PAUSE = 5, 0.3  # seconds: another run in the same folder may be writing dvc.lock, which takes half a second


def check(arguments: Iterable[object]) -> None:
    """Compare the files among the arguments of a stage, and its dependencies, with `dvc.lock` in this folder.

    Raises:
        InputError: DVC runs the stage, and one of them is not what its stage wrote. Without DVC this is a warning,
            because whoever calls a stage by hand may have made its inputs by hand.
    """
    name = os.environ.get(STAGE, "").rpartition(":")[2]
    given = {path.as_posix() for path in _paths(arguments)}
    inputs = given | _dependencies(name)
    found = _outputs({path for path in given if name and path.startswith(MADE) and Path(path).exists()})
    wrong = [sentence(out) for out in found.values() if out.stage != name and _is_below(out.path, inputs)]
    if not (lines := [line for line in wrong if line]):
        return
    if name:
        raise InputError("\n".join(lines))
    print("\n".join(lines), file=sys.stderr)


def _paths(arguments: Iterable[object]) -> Iterable[Path]:
    for argument in arguments:
        yield from (part for part in (argument if isinstance(argument, list) else [argument]) if isinstance(part, Path))


def _dependencies(name: str) -> set[str]:
    """Return the dependencies of a stage in dvc.yaml; those with a placeholder are among its arguments."""
    if not name or not PIPELINE.exists():
        return set()
    heading = re.escape(name.partition("@")[0])
    block = re.search(rf"^  {heading}:\n(?:    .*\n|\s*\n)*", PIPELINE.read_text(), re.MULTILINE)
    stage = next(iter(YAML(typ="safe").load(block[0]).values())) if block else {}
    return {dep for dep in stage.get("do", stage).get("deps", []) if f"{dep}/".startswith(MADE)}


def _is_below(path: str, inputs: Iterable[str]) -> bool:
    return any(path == part or path.startswith(f"{part}/") for part in inputs)


def _outputs(needed: set[str]) -> Mapping[str, Output]:
    """Read dvc.lock; again if it lacks one of the paths, because another run may be writing it."""
    found: dict[str, Output] = {}
    for attempt in range(ATTEMPTS):
        time.sleep(PAUSE if attempt else 0)
        try:
            found = outputs()
        except YAMLError as error:
            if attempt == ATTEMPTS - 1:
                why = str(error).splitlines()[0]
                raise InputError(f"{LOCK} is not valid YAML ({why}): run `git checkout {LOCK}`") from None
        else:
            if not needed - found.keys():
                break
    return found
