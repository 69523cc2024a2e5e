"""The part of the GPU benchmark that kills a training and resumes it through its stage script."""

import subprocess
import sys
import time
from pathlib import Path
from typing import Any

from ruamel.yaml import YAML

from benchmarks import gpu_params
from benchmarks.gpu_bench import Bench
from benchmarks.gpu_params import section_of
from src.files.weights import read_tensors

RESUMED_EPOCHS, RESUMED_STEPS = 3, 5


def resume(bench: Bench) -> None:
    """Train SSD300 three times through its stage script: twice to the end, once killed after an epoch and resumed.

    Two uninterrupted trainings are compared as well: a GPU that adds in another order each time makes other bytes
    without any interruption.
    """
    content = gpu_params.merged(bench.content, {})
    count = max(1, min(bench.options.steps, RESUMED_STEPS))
    section_of(content, "ssd300")["train"] |= {"epochs": RESUMED_EPOCHS, "batches_per_epoch": count}
    with bench.out("resume", "params.yaml").open("w") as file:
        YAML().dump(content, file)
    outs = {}
    for run in ("whole", "again", "resumed"):
        command, outs[run] = _command(bench, run)
        if run == "resumed":
            _kill_after_an_epoch(bench, command)
        done = subprocess.run(command, **_place(bench), capture_output=True, text=True)
        if done.returncode:
            raise RuntimeError(f"the training `{run}` failed: {done.stderr[-500:]}")
        if ("resumed at epoch" in done.stdout + done.stderr) != (run == "resumed"):
            raise RuntimeError(f"the training `{run}` printed nothing of an epoch to resume at: {done.stdout[-500:]}")
    for run in ("again", "resumed"):
        same = outs[run].read_bytes() == outs["whole"].read_bytes()
        ours, theirs = (read_tensors(path)[0] for path in (outs[run], outs["whole"]))
        largest = max(float((ours[key].double() - theirs[key].double()).abs().max()) for key in ours)
        bench.emit(kind="resume", run=run, equal_bytes=same, largest_difference=largest)


def _command(bench: Bench, run: str) -> tuple[list[str], Path]:
    _, arguments = bench.training("ssd300", f"resume/{run}")
    words = [word for key, value in arguments.items() for word in (f"--{key}", str(value))]
    return [sys.executable, "-m", "stages.train_detector", *words], Path(arguments["out"])


def _place(bench: Bench) -> dict[str, Any]:
    return {"cwd": bench.folder / "resume"}  # PYTHONPATH names this repository, as `benchmarks.gpu` sets it


def _kill_after_an_epoch(bench: Bench, command: list[str]) -> None:
    """Start the training, and send SIGKILL as soon as it has written the state of its first epoch."""
    with subprocess.Popen(command, **_place(bench), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as process:
        while process.poll() is None and not list((bench.folder / "resume/.checkpoints").glob("*.pt")):
            time.sleep(0.002)
        ended = process.poll() is not None
        process.kill()
    if ended:
        raise RuntimeError("the training ended before it could be killed")
