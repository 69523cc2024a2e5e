"""The environment variables of a run; GPUs are mocked."""

import os
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType
from unittest import mock

import numpy as np
import pytest
import torch

from src.errors import InputError
from stages import environment
from stages.environment import checkpoint, computed_by, device, jobs, shards, workers
from stages.fabric import fabric


@pytest.fixture
def two_gpus() -> Iterator[None]:
    """A machine on which torch and Lightning see two GPUs; nothing may be computed on them."""
    with (
        mock.patch("torch.cuda.is_available", return_value=True),
        mock.patch("torch.cuda.device_count", return_value=2),
        mock.patch("torch.cuda.get_device_name", side_effect=lambda name: f"GPU of {name}"),
        mock.patch("lightning_fabric.accelerators.cuda.num_cuda_devices", return_value=2),
        mock.patch("lightning_fabric.accelerators.cuda._check_cuda_matmul_precision"),
        mock.patch("torch.cuda.set_device"),
    ):
        yield


@pytest.mark.parametrize(("value", "index"), [("cuda", 0), ("cuda:0", 0), ("cuda:1", 1)])
def test_a_training_runs_on_the_gpu_that_is_named(
    two_gpus: None, monkeypatch: pytest.MonkeyPatch, value: str, index: int
) -> None:
    monkeypatch.setenv("DEVICE", value)
    assert device() == value
    assert fabric("32-true").device == torch.device("cuda", index)
    assert computed_by() == f"GPU of {value}"


def test_a_gpu_is_used_if_there_is_one_and_nobody_names_a_device(
    two_gpus: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("DEVICE", raising=False)
    assert device() == "cuda"


@pytest.mark.parametrize("value", ["cuda:2", "cuda:x", "cpu:1", "tpu", ""])
def test_a_device_that_does_not_exist_is_refused_by_its_name(
    two_gpus: None, monkeypatch: pytest.MonkeyPatch, value: str
) -> None:
    monkeypatch.setenv("DEVICE", value)
    with pytest.raises(InputError, match=f"DEVICE={value}, and there is no such device"):
        device()


def test_without_a_gpu_the_cpu_is_used_and_a_gpu_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    with mock.patch("torch.cuda.is_available", return_value=False):
        monkeypatch.delenv("DEVICE", raising=False)
        assert device() == "cpu"
        assert fabric("32-true").device == torch.device("cpu")
        monkeypatch.setenv("DEVICE", "cuda")
        with pytest.raises(InputError, match="DEVICE=cuda"):
            device()


def test_on_a_gpu_single_precision_is_tensorfloat_and_cudnn_chooses_its_algorithms(
    two_gpus: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(torch.backends.cudnn, "benchmark", False)
    monkeypatch.setattr(torch.backends.cudnn, "allow_tf32", False)
    with mock.patch("torch.set_float32_matmul_precision") as precision:
        monkeypatch.setenv("DEVICE", "cpu")
        fabric("32-true")
        assert not precision.called
        assert not torch.backends.cudnn.benchmark
        monkeypatch.setenv("DEVICE", "cuda")
        fabric("32-true")
        precision.assert_called_once_with("high")
        assert torch.backends.cudnn.benchmark
        assert torch.backends.cudnn.allow_tf32


@pytest.mark.parametrize(("cpus", "expected"), [(2, 2), (64, 8)])
def test_beside_a_gpu_the_cpus_prepare_batches(
    two_gpus: None, monkeypatch: pytest.MonkeyPatch, cpus: int, expected: int
) -> None:
    monkeypatch.setattr("joblib.cpu_count", lambda: cpus)
    monkeypatch.setattr(environment, "_shared_memory", lambda: True)
    monkeypatch.delenv("WORKERS", raising=False)
    monkeypatch.setenv("DEVICE", "cuda")
    assert workers() == expected
    monkeypatch.setenv("DEVICE", "cpu")
    assert workers() == 0
    monkeypatch.setenv("WORKERS", "3")
    assert workers() == 3


@pytest.mark.parametrize(("free", "expected"), [(64 << 20, 0), (2 << 30, 4), (None, 4)])
def test_without_shared_memory_no_workers_prepare_batches_and_one_line_tells_why(
    two_gpus: None,
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    free: int | None,
    expected: int,
) -> None:
    """In Docker's default of 64 MB, workers die with a bus error. Systems without the folder have no such limit."""
    monkeypatch.setattr("joblib.cpu_count", lambda: 4)
    monkeypatch.setattr("shutil.disk_usage", lambda _: mock.Mock(free=free))
    monkeypatch.setattr(environment, "SHARED_MEMORY", tmp_path / ("absent" if free is None else ""))
    monkeypatch.delenv("WORKERS", raising=False)
    monkeypatch.setenv("DEVICE", "cuda")
    environment._shared_memory.cache_clear()
    assert [workers(), workers()] == [expected] * 2
    environment._shared_memory.cache_clear()
    assert capsys.readouterr().out.count("--shm-size") == (expected == 0)
    monkeypatch.setenv("WORKERS", "3")
    assert workers() == 3


def test_jobs_are_as_many_as_cpus_also_on_systems_without_affinity(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("JOBS", raising=False)
    assert jobs() >= 1
    monkeypatch.delattr("os.sched_getaffinity", raising=False)  # as on macOS and Windows
    assert jobs() >= 1


@pytest.mark.parametrize("value", ["0", "-1", "two", "1.5"])
def test_a_number_of_processes_that_is_none_is_refused(monkeypatch: pytest.MonkeyPatch, value: str) -> None:
    monkeypatch.setenv("JOBS", value)
    with pytest.raises(InputError, match=f"JOBS={value}"):
        jobs()
    if value != "0":
        monkeypatch.setenv("WORKERS", value)
        with pytest.raises(InputError, match=f"WORKERS={value}"):
            workers()


def test_a_checkpoint_belongs_to_the_code_that_this_process_has_imported(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A training that goes on after an edit of its loss would be a result that no code has."""
    monkeypatch.setattr(environment, "ROOT", tmp_path)
    for name in ("src/loss.py", "src/unused.py", "stages/train.py", "elsewhere/src.py"):
        file = tmp_path / name
        file.parent.mkdir(exist_ok=True)
        file.write_text(name)
        if "unused" not in name:
            module = ModuleType(name)
            module.__file__ = str(file)
            monkeypatch.setitem(sys.modules, name, module)
    first = checkpoint("ssd300", {"lr": 1}, [])
    assert checkpoint("ssd300", {"lr": 1}, []) == first
    for name in ("src/unused.py", "elsewhere/src.py"):
        (tmp_path / name).write_text("changed")
    assert checkpoint("ssd300", {"lr": 1}, []) == first
    seen = {first}
    for name in ("src/loss.py", "stages/train.py"):
        (tmp_path / name).write_text("changed")
        seen.add(checkpoint("ssd300", {"lr": 1}, []))
    assert len(seen) == 3


def test_the_checkpoints_of_other_code_or_parameters_are_counted(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    files = [checkpoint("ssd300", {"lr": lr}, []) for lr in range(3)]
    assert capsys.readouterr().out == ""
    for file in [*files, checkpoint("rpn", {}, [])]:
        file.parent.mkdir(exist_ok=True)
        file.touch()
    checkpoint("ssd300", {"lr": 2}, [])
    assert capsys.readouterr().out.startswith("2 older checkpoints of this training")


def test_old_checkpoints_of_other_inputs_are_removed_and_no_others(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    folder = tmp_path / ".checkpoints"
    folder.mkdir()
    now, day = time.time(), 86_400
    for number, days in enumerate((1, 2, 31, 3, 4)):
        for suffix in (".pt", ".before.pt", ".damaged.pt"):
            file = folder / f"rpn-{number:016x}{suffix}"
            file.touch()
            os.utime(file, (now - days * day, now - days * day))
    for name in ("rpn-x-0000000000000001.pt", "ssd300-0000000000000001.pt", "notes.txt"):
        (folder / name).touch()
        os.utime(folder / name, (0, 0))
    own = checkpoint("rpn", {"lr": 1}, [])
    own.touch()
    os.utime(own, (0, 0))
    checkpoint("rpn", {"lr": 1}, [])
    stay = {f"rpn-{number:016x}{suffix}" for number in (0, 1, 3) for suffix in (".pt", ".before.pt", ".damaged.pt")}
    others = {"rpn-x-0000000000000001.pt", "ssd300-0000000000000001.pt", "notes.txt", own.name}
    assert {file.name for file in folder.iterdir()} == stay | others


def test_parts_of_a_stage_are_found_and_those_of_other_inputs_removed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "images").write_text("one")
    first = shards("propose", {"mode": "fast"}, [tmp_path / "images"])
    first.keep_records(0, {"a": {"boxes": np.zeros((0, 4))}})
    assert capsys.readouterr().out == ""
    assert shards("propose", {"mode": "fast"}, [tmp_path / "images"]) == first
    assert capsys.readouterr().out == "goes on after a run that was stopped: 1 parts are there\n"
    (tmp_path / "images").write_text("two")
    assert shards("propose", {"mode": "fast"}, [tmp_path / "images"]) != first
    assert not first.folder.exists()
