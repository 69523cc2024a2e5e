"""A real Slurm of two machines: it trains a network on both, and Dask's workers are its jobs."""

import json
import os
import re
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psutil
import pytest
import torch
from ruamel.yaml import YAML

from commands.write_deps import ROOT
from src.files.weights import read_tensors
from stages import remote
from tests.local_cluster import kill
from tests.slurm import NAMES, Slurm, missing, slurm
from tests.stages.test_several_processes import folder, trained, variables, words
from tests.trained import content, scenes

pytestmark = [pytest.mark.slow, pytest.mark.skipif(bool(missing()), reason=missing())]

BOTH = ("srun", "--nodes=2", "--ntasks-per-node=1", sys.executable)
PIPES: dict[str, Any] = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE}


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Slurm]:
    with slurm(tmp_path_factory.mktemp("slurm")) as made:
        yield made


def tasks(rank: int) -> list[int]:
    """Return the processes of the training that are the task of this number."""
    found = []
    for process in psutil.process_iter():
        try:
            words, place = process.cmdline(), process.environ().get("SLURM_PROCID")
        except (psutil.NoSuchProcess, psutil.AccessDenied):
            continue
        if "stages.train_classifier" in words and "srun" not in words[0] and place == str(rank):
            found.append(process.pid)
    return found


def test_a_training_on_two_machines_loses_one_and_goes_on_to_the_bytes_of_an_uninterrupted_one(
    made: Slurm, tmp_path: Path
) -> None:
    expected, _, _ = trained(folder(tmp_path / "expected", epochs=12), DEVICES="2")
    path = folder(tmp_path / "shared", epochs=12)
    with made.popen([*BOTH, *words()], cwd=path, env=variables(), **PIPES) as running:
        end = time.monotonic() + 120
        while not list(path.glob(".checkpoints/*.before.pt")):  # two epochs are done
            assert time.monotonic() < end
            assert running.poll() is None, running.communicate()
            time.sleep(0.02)
        for number in tasks(1):
            kill(number)
        _, text = running.communicate(timeout=120)
    assert running.returncode != 0
    assert "train_classifier: a process of the training is gone, so this one ends, too" in text
    assert "Traceback" not in text
    assert not (path / "out").exists()
    done = made.run([*BOTH, *words()], cwd=path, env=variables(), timeout=240)
    assert done.returncode == 0, done.stderr
    assert done.stdout.count("resumed at epoch") == 1
    weights = read_tensors(path / "out")[0]
    assert all(torch.equal(weights[name], value) for name, value in expected.items())


@pytest.mark.parametrize(("asked", "devices"), [(["--nodes=1"], "2"), (["--nodes=2", "--ntasks=2"], "1")])
def test_the_script_of_a_job_is_alone_and_may_start_the_processes_of_its_machine(
    made: Slurm, tmp_path: Path, asked: list[str], devices: str
) -> None:
    path = folder(tmp_path / "job")
    script = " ".join([f"#!/bin/sh\nDEVICES={devices}", sys.executable, *words()])
    command = ["sbatch", "--wait", "--output=log", *asked]
    done = made.run(command, input=script, cwd=path, env=variables(), timeout=240)
    assert done.returncode == 0, (path / "log").read_text()
    assert json.loads((path / "metrics").read_text()).get("processes", 1) == int(devices)
    assert "srun" not in (path / "log").read_text()  # a word of Fabric, which is not of use here


def test_the_workers_of_a_cluster_are_its_jobs_as_the_page_starts_them(made: Slurm, tmp_path: Path) -> None:
    pytest.importorskip("dask_jobqueue", reason="needs dask-jobqueue: pip install -r requirements-cluster.txt")
    stage = tmp_path / "checkout"
    stage.mkdir()
    for name in remote.CODE:
        (stage / name).symlink_to(ROOT / name)
    YAML(typ="safe").dump(content(), stage / "params.yaml")
    scenes(stage / "voc.zip", {f"{number:06}": (90, 120) for number in range(1, 41)})
    command = [sys.executable, "-m", "stages.propose", "--images", "voc.zip", "--out"]
    subprocess.run([*command, "alone.npz"], cwd=stage, check=True, env={**os.environ, "JOBS": "1"})
    block = (ROOT / "docs/cluster.md").read_text().split("```python\nfrom dask_jobqueue")[1].split("```")[0]
    program = f"from dask_jobqueue{block}"
    for old, new in {
        "cores=8": "cores=1",
        "processes=8": "processes=1",
        "32GB": "2GB",
        "jobs=4": "jobs=2",
        "/shared/checkout": str(ROOT),
    }.items():
        assert old in program
        program = program.replace(old, new)
    (tmp_path / "start.py").write_text(program)
    options: dict[str, Any] = {**PIPES, "stdin": subprocess.PIPE, "cwd": tmp_path}
    with made.popen([sys.executable, "-u", "start.py"], **options) as starting:
        address = starting.stdout.readline().strip()
        assert re.fullmatch(r"tcp://10\.214\.0\.1:\d+", address), starting.communicate("\n")
        environment = {**os.environ, "DASK_SCHEDULER_ADDRESS": address}
        done = made.run([*command, "cluster.npz"], cwd=stage, env=environment, timeout=240)
        jobs = made.run(["squeue", "--noheader", "--format=%N %T"]).stdout.splitlines()
        _, text = starting.communicate("\n", timeout=60)
    assert done.returncode == 0, done.stdout + done.stderr + text
    assert sorted(jobs) == [f"{name} RUNNING" for name in NAMES]
    assert (stage / "cluster.npz").read_bytes() == (stage / "alone.npz").read_bytes()
