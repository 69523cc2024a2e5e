"""Check parameters and machine before anything runs: all other stages depend on this one.

Its output only says that it has passed, so it is the same after every run and makes no other stage stale. DVC still
runs this stage first, whichever stage is asked for, and if it fails, DVC touches no other stage's output.
"""

from pathlib import Path
from typing import TYPE_CHECKING

from src.files.storage import atomic
from src.files.unfinished import sweep
from src.files.versions import differences, installed
from src.params import read_params
from stages import arithmetic
from stages.cluster import pool
from stages.command import PARAMS, command
from stages.environment import computed_by, device, devices, workers

if TYPE_CHECKING:
    from src.schema import Params

WRITTEN = ("data", "models", "metrics", "report", ".checkpoints")  # the folders to which stages write


def run(*, metrics: Path, out: Path, parameters: Path = Path(PARAMS)) -> None:
    """Raise an `InputError` for everything that would stop a later stage; else write `out`.

    `metrics` is the folder of the metrics files. It is no dependency: the stage only prints which of them were made
    with other versions of the libraries.
    """
    from src.checks import check  # here, not above: all methods and torch, for which --help does not wait
    from src.schema import Params

    params = read_params(parameters, Params)
    check(params)
    if rests := [rest for folder in WRITTEN for rest in sweep(Path(folder), "**/*")]:
        print(f"removed {len(rests)} unfinished files of runs that were killed")
    with atomic(out) as path:
        path.write_text("passed\n")
    shared = pool()
    processes = f"{shared} processes" if isinstance(shared, int) else shared
    together = f"{devices()} x " if devices() > 1 else ""
    where = f"{together}{device()}, arithmetic {computed_by()}"
    number = workers()
    readers = f"{number} more prepare the batches of a training" if number else "a training prepares its batches itself"
    print(f"profile {params.profile}: {processes}; {readers}; {where}")
    for sentence in [*differences(metrics, installed()), *slow(params), *untaught(params)]:
        print(sentence)


def slow(params: "Params") -> list[str]:
    """Return a warning if features are described in a precision for which the pinned arithmetic has no instructions."""
    pinned = device() == "cpu" and arithmetic.mode() == arithmetic.PINNED
    if not pinned or params.features.precision != "bf16-mixed":
        return []
    return [
        "params.yaml: features.precision = 'bf16-mixed' is several times slower than 32-true in pinned arithmetic on a "
        "CPU: set ARITHMETIC=native, or 32-true"
    ]


def untaught(params: "Params") -> list[str]:
    """Return a warning if no detector starts from weights with a user's own photos, from which it then learns little.

    The stage does not know which detector the user wants, so one that starts from weights is enough.
    """
    starts = {f"detectors.{name}.weights": section.weights for name, section in params.detectors}
    starts["finetune.weights"] = params.finetune.weights
    if params.data.voc.source != "local" or not set(starts.values()) <= {"none", "pretrained"}:
        return []
    keys = ", ".join(f"{key} = '{value}'" for key, value in starts.items())
    return [
        f"params.yaml: {keys}: networks without the weights of many photos "
        "learn little from some 50; `python -m commands.own PATH` starts from ImageNet's weights"
    ]


if __name__ == "__main__":
    command(run)
