"""A stage that trains, unchanged, on several processes and on two machines, of which one is killed."""

import contextlib
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import psutil
import pytest
import torch
from ruamel.yaml import YAML

from commands.write_deps import ROOT
from src.files.weights import read_tensors, write_tensors
from stages import arithmetic
from tests.labelled import digits
from tests.trained import content
from tests.training.together import free_port
from tests.two_networks import two_networks

OUTPUTS = ("out", "metrics", "curve")
OPTIONS: dict[str, Any] = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True}


class Machine(NamedTuple):
    """A machine: words before a command that run it there, and variables for it."""

    words: list[str]
    variables: dict[str, str]


def folder(path: Path, **train: Any) -> Path:
    """Make a folder with the inputs of the stage train_classifier."""
    path.mkdir()
    digits(path / "digits.zip")
    write_tensors(path / "weights", {}, {"source": "none"})
    params = content()
    section = params["classifiers"]["mobilenet_v3"]
    section["train"] |= {"batch_size": 10, "epochs": 2, "optimizer": "sgd", "lr": 0.01, "ema_decay": None, **train}
    YAML(typ="safe").dump(params, path / "params.yaml")
    return path


def words() -> list[str]:
    files = [word for name in OUTPUTS for word in (f"--{name}", name)]
    images = ["--images", "digits.zip", "--weights", "weights"]
    return ["-m", "stages.train_classifier", "--classifier", "mobilenet_v3", *images, *files]


def variables(**more: str) -> dict[str, str]:
    kept = {name: value for name, value in arithmetic.unpinned().items() if name not in ("ARITHMETIC", "DVC_STAGE")}
    path = {"PYTHONPATH": str(ROOT), "PYTHONDONTWRITEBYTECODE": "1"}
    return {**kept, **path, "DEVICE": "cpu", "ARITHMETIC": "native", "OMP_NUM_THREADS": "1", **more}


def trained(path: Path, **more: str) -> tuple[dict[str, torch.Tensor], dict[str, Any], str]:
    """Run the stage; return weights, metrics and what it printed."""
    done = subprocess.run([sys.executable, *words()], cwd=path, env=variables(**more), capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return read_tensors(path / "out")[0], json.loads((path / "metrics").read_text()), done.stdout


@pytest.mark.slow
def test_the_variable_devices_divides_the_batches_and_is_written_beside_the_model_alone(tmp_path: Path) -> None:
    one, metrics, _ = trained(folder(tmp_path / "one"))
    two, both, said = trained(folder(tmp_path / "two"), DEVICES="2")
    assert "processes" not in metrics
    assert both["processes"] == 2
    assert said.count("parameters\n") == 1  # the first process alone prints
    assert both["val_accuracy"] == metrics["val_accuracy"]
    for name, value in one.items():
        torch.testing.assert_close(two[name], value, rtol=1e-3, atol=1e-4)
    again, _, _ = trained(folder(tmp_path / "again"), DEVICES="2")
    assert all(torch.equal(again[name], value) for name, value in two.items())
    assert sorted(path.name for path in (tmp_path / "two").iterdir()) == sorted(
        [".checkpoints", "digits.zip", "weights", "params.yaml", *OUTPUTS]
    )
    assert not list((tmp_path / "two" / ".checkpoints").iterdir())


@pytest.mark.slow
def test_dvc_starts_the_same_stage_and_finds_its_outputs(tmp_path: Path) -> None:
    path = folder(tmp_path / "stage")
    outs = [{name: {"cache": False}} for name in OUTPUTS]
    stage = {"cmd": " ".join(["python", *words()]), "deps": ["digits.zip", "weights"], "outs": outs}
    YAML(typ="safe").dump({"stages": {"train_classifier": stage}}, path / "dvc.yaml")
    environment = variables(DEVICES="2", PATH=f"{Path(sys.executable).parent}:{os.environ['PATH']}")
    for command in (["init", "--no-scm", "-q"], ["repro"]):
        done = subprocess.run(
            [sys.executable, "-m", "dvc", *command], cwd=path, env=environment, capture_output=True, text=True
        )
        assert done.returncode == 0, done.stderr
    assert json.loads((path / "metrics").read_text())["processes"] == 2


@pytest.mark.slow
@pytest.mark.parametrize(
    ("train", "more", "sentence"),
    [
        ({"batch_size": 1}, {"DEVICES": "2"}, "train.batch_size gives batches of 1, which 2 processes cannot divide"),
        ({}, {"DEVICES": "two"}, "the environment has DEVICES=two, which must be a number of processes, 1 or more"),
        (
            {},
            {"NODES": "2", "NODE_RANK": "1", "MASTER_ADDR": "nowhere.invalid"},
            "MASTER_ADDR = nowhere.invalid, MASTER_PORT = 29500: no machine is known by this address",
        ),
    ],
)
def test_a_mistake_ends_with_one_sentence_and_no_file(
    tmp_path: Path, train: dict[str, int], more: dict[str, str], sentence: str
) -> None:
    path = folder(tmp_path / "stage", **train)
    done = subprocess.run([sys.executable, *words()], cwd=path, env=variables(**more), capture_output=True, text=True)
    assert done.returncode == 1
    assert done.stderr.startswith(f"train_classifier: {sentence}")
    assert done.stderr.count("\n") == 1
    assert not [file for file in path.rglob("*") if file.name not in ("digits.zip", "weights", "params.yaml")]


@pytest.fixture
def machines(capsys: pytest.CaptureFixture[str]) -> Iterator[tuple[str, list[Machine]]]:
    """Two machines and the address of the first: network namespaces if they may be made, else this one twice."""
    with contextlib.ExitStack() as stack:
        try:
            both = stack.enter_context(two_networks("10.213.0"))
            there = [(["ip", "netns", "exec", one.name], {"GLOO_SOCKET_IFNAME": one.link}) for one in both]
            found = both[0].address, [Machine(*one) for one in there]
        except (OSError, subprocess.CalledProcessError):
            found = "127.0.0.1", [Machine([], {}), Machine([], {})]
        with capsys.disabled():
            print(f"\ntwo machines: {'network namespaces' if found[1][0].words else 'two groups on the loopback'}")
        yield found


def start(path: Path, machine: Machine, rank: int, address: str, port: int, **more: str) -> "subprocess.Popen[str]":
    """Start the stage by torchrun on one of two machines."""
    torchrun = [sys.executable, "-m", "torch.distributed.run", "--nnodes=2", "--nproc-per-node=1"]
    torchrun += [f"--node-rank={rank}", f"--master-addr={address}", f"--master-port={port}"]
    environment = variables(**machine.variables, **more)
    return subprocess.Popen([*machine.words, *torchrun, *words()], cwd=path, env=environment, **OPTIONS)


@pytest.mark.slow
def test_a_machine_is_killed_and_the_same_commands_go_on_to_the_bytes_of_an_uninterrupted_training(
    tmp_path: Path, machines: tuple[str, list[Machine]]
) -> None:
    address, both = machines
    expected, _, _ = trained(folder(tmp_path / "expected", epochs=12), DEVICES="2")
    paths = [folder(tmp_path / name, epochs=12) for name in ("first", "second")]  # no common disk
    port = free_port()
    first, second = (
        start(path, machine, rank, address, port) for rank, (path, machine) in enumerate(zip(paths, both, strict=True))
    )
    with first, second:
        end = time.time() + 120
        while not list(paths[0].glob(".checkpoints/*.before.pt")):  # two epochs are done
            assert time.time() < end
            assert first.poll() is None, first.communicate()
            time.sleep(0.02)
        for process in [*psutil.Process(second.pid).children(recursive=True), psutil.Process(second.pid)]:
            process.send_signal(signal.SIGKILL)
        _, text = first.communicate(timeout=120)
        assert first.returncode != 0
        second.communicate()
    assert "train_classifier: a process of the training is gone, so this one ends, too" in text
    for path in paths:
        assert not [file for name in OUTPUTS for file in path.glob(f"*{name}*")]
        assert not list(path.rglob(".*.tmp"))
    port = free_port()
    again = [
        start(path, machine, rank, address, port) for rank, (path, machine) in enumerate(zip(paths, both, strict=True))
    ]
    said = [process.communicate(timeout=240) for process in again]
    assert [process.returncode for process in again] == [0, 0], said
    assert "resumed at epoch" in said[0][0]
    weights = read_tensors(paths[0] / "out")[0]
    assert all(torch.equal(weights[name], value) for name, value in expected.items())
    assert not (paths[1] / "out").exists()
