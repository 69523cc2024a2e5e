"""Run functions in groups of processes: `python -m tests.training.together FOLDER MODULE NAME:WORLD ...`.

One process imports the libraries and forks the processes of each group, which takes a fraction of the time of starting
them anew. Each calls `MODULE.NAME(fabric, folder)`, and its result goes to `FOLDER/NAME-WORLD-RANK.pt`. The module
may list functions that compute with double precision (`DOUBLE`), whose processes think that each is on a machine of its
own (`APART`), or whose processes have a GPU each (`GPUS`).
"""

import importlib
import os
import socket
import subprocess
import sys
import traceback
from functools import partial
from pathlib import Path
from typing import Any

import torch
from lightning_fabric import Fabric
from torch import distributed

from commands.write_deps import ROOT
from src.training.group import join
from src.training.places import Place


def results(folder: Path, module: str, groups: list[tuple[str, int]]) -> dict[tuple[str, int], list[Any]]:
    """Run the groups, (name of the function, number of processes), and return what each process returned, by group."""
    words = [f"{name}:{world}" for name, world in groups]
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "ARITHMETIC": "native"}
    command = [sys.executable, "-m", "tests.training.together", str(folder), module, *words]
    done = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    load = partial(torch.load, weights_only=False, map_location="cpu")
    return {
        (name, world): [load(folder / f"{name}-{world}-{rank}.pt") for rank in range(world)] for name, world in groups
    }


def fabric_of(functions: Any, name: str, rank: int, world: int, port: int) -> Fabric:
    """Return Fabric for one process of a group, or for one that is alone."""
    double, apart, gpus = (name in getattr(functions, names, ()) for names in ("DOUBLE", "APART", "GPUS"))
    kind, precision = "cuda" if gpus else "cpu", "64-true" if double else "32-true"
    if world == 1:
        return Fabric(accelerator=kind, devices=1, precision=precision)
    local = (0, 1) if apart else (rank, world)
    return join(Place(rank, world, *local, "127.0.0.1", port), kind, precision)


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def main(folder: Path, module: str, groups: list[str]) -> int:
    """Run the groups one after the other; return 1 if a process failed."""
    functions = importlib.import_module(module)
    for group in groups:
        name, world = group.split(":")
        port, children = free_port(), []
        for rank in range(int(world)):
            if not (child := os.fork()):
                os._exit(_run(folder, functions, name, rank, int(world), port))
            children.append(child)
        if any([os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) for child in children]):
            return 1
    return 0


def _run(folder: Path, functions: Any, name: str, rank: int, world: int, port: int) -> int:
    torch.set_num_threads(1)
    try:
        fabric = fabric_of(functions, name, rank, world, port)
        torch.save(getattr(functions, name)(fabric, folder), folder / f"{name}-{world}-{rank}.pt")
        if world > 1:
            distributed.destroy_process_group()
    except BaseException:
        print(f"{name}, process {rank} of {world}:\n{traceback.format_exc()}", file=sys.stderr, flush=True)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1]), sys.argv[2], sys.argv[3:]))
