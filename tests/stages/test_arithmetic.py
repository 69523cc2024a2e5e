"""The pinned mode: what it sets, and that training steps then give the same bytes whatever the environment asks for."""

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch

from commands.write_deps import ROOT
from src.errors import InputError
from stages import arithmetic

LIMIT = dict([arithmetic.PIXELS])
HASWELL = "processor\t: 0\nflags\t\t: fpu avx avx2 fma bmi1 bmi2 f16c movbe abm sse4_2\n"
STEP = """
import hashlib
import stages
import numpy as np
import torch
from torch import nn

torch.manual_seed(0)
net = nn.Sequential(nn.Conv2d(3, 32, 3), nn.BatchNorm2d(32), nn.Hardswish(), nn.Conv2d(32, 16, 3), nn.ReLU(),
                    nn.Flatten(), nn.Linear(16 * 28 * 28, 64), nn.Sigmoid(), nn.Linear(64, 3))
optimizer = torch.optim.AdamW(net.parameters(), lr=0.01)
for _ in range(2):
    optimizer.zero_grad()
    nn.functional.cross_entropy(net(torch.randn(8, 3, 32, 32)), torch.arange(8) % 3).backward()
    optimizer.step()
numbers = np.random.default_rng(0).normal(size=(60, 300))
more = [np.exp(numbers), numbers @ numbers.T, np.linalg.solve(numbers @ numbers.T, numbers[:, :2])]
digest = hashlib.md5()
for array in [*(value.numpy() for value in net.state_dict().values()), *more]:
    digest.update(np.ascontiguousarray(array).tobytes())
print(digest.hexdigest(), torch.backends.cpu.get_cpu_capability(), torch.get_num_threads())
"""


def step(**environment: str) -> list[str]:
    """Hash, instructions and threads of two training steps in a new process with these variables."""
    kept = {name: value for name, value in arithmetic.unpinned().items() if name != "ARITHMETIC"}
    done = subprocess.run(
        [sys.executable, "-c", STEP], cwd=ROOT, env={**kept, **environment}, capture_output=True, text=True, check=True
    )
    return done.stdout.split()


@pytest.mark.skipif(not arithmetic.can_pin(), reason="this processor has no AVX2, so nothing can be pinned")
def test_a_training_step_gives_the_same_bytes_whatever_the_environment_asks_for() -> None:
    first = step(OMP_NUM_THREADS="1", ATEN_CPU_CAPABILITY="default", ONEDNN_MAX_CPU_ISA="SSE41", MKL_CBWR="AVX2")
    assert first[1:] == ["AVX2", "2"]
    assert step(OMP_NUM_THREADS="4", MKL_NUM_THREADS="3", OPENBLAS_CORETYPE="Sandybridge") == first


def test_a_native_child_of_a_pinned_process_has_the_threads_that_it_asks_for() -> None:
    """MKL_NUM_THREADS of the parent would outvote the child's OMP_NUM_THREADS."""
    environment = {"HOME": "here", "OMP_NUM_THREADS": "8"}
    arithmetic.pin(environment)
    child = arithmetic.unpinned(environment)
    assert child == {"HOME": "here", **arithmetic.WAIT, **LIMIT}


def test_native_leaves_the_choice_to_the_environment() -> None:
    assert step(ARITHMETIC="native", OMP_NUM_THREADS="1", ATEN_CPU_CAPABILITY="default")[1:] == ["DEFAULT", "1"]


@pytest.fixture
def cpuinfo(tmp_path: Path) -> Path:
    path = tmp_path / "cpuinfo"
    path.write_text(HASWELL)
    return path


def test_a_processor_with_avx2_can_be_pinned_and_one_without_or_of_another_kind_cannot(cpuinfo: Path) -> None:
    assert arithmetic.can_pin(cpuinfo)
    cpuinfo.write_text(HASWELL.replace(" avx2", ""))
    assert not arithmetic.can_pin(cpuinfo)
    cpuinfo.write_text("Features\t: fp asimd\n")  # ARM
    assert not arithmetic.can_pin(cpuinfo)
    assert not arithmetic.can_pin(cpuinfo.with_name("none"))  # no Linux


@pytest.mark.parametrize("words", [{}, {"ARITHMETIC": "pinned"}, {"OMP_NUM_THREADS": "8"}])
def test_pinning_overrules_what_the_user_has_set(words: dict[str, str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(arithmetic, "can_pin", lambda: True)
    environment = dict(words)
    arithmetic.pin(environment)
    assert environment.items() >= arithmetic.SETTINGS.items()


def test_native_and_processors_that_cannot_be_pinned_keep_their_variables(monkeypatch: pytest.MonkeyPatch) -> None:
    environment = {"ARITHMETIC": "native", "OMP_NUM_THREADS": "8"}
    arithmetic.pin(environment)
    assert environment == {"ARITHMETIC": "native", "OMP_NUM_THREADS": "8", **arithmetic.WAIT, **LIMIT}
    monkeypatch.setattr(arithmetic, "can_pin", lambda: False)
    arithmetic.pin(environment := {})
    assert environment == {**arithmetic.WAIT, **LIMIT}
    assert arithmetic.mode() == arithmetic.NATIVE


@pytest.mark.parametrize("name", ["OMP_WAIT_POLICY", "GOMP_SPINCOUNT"])
def test_the_user_may_say_how_threads_wait(name: str) -> None:
    environment = {"ARITHMETIC": "native", name: "user's"}
    arithmetic.pin(environment)
    assert environment[name] == "user's"
    assert environment.get("GOMP_SPINCOUNT") in (None, "user's")  # the number would outvote the user's policy


def test_another_word_is_refused_by_name(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ARITHMETIC", "fast")
    with pytest.raises(InputError, match="ARITHMETIC=fast, which must be pinned or native"):
        arithmetic.mode()


@pytest.mark.skipif(
    arithmetic.mode() == arithmetic.NATIVE, reason="the environment asks for native, or nothing can be pinned"
)
def test_the_tests_themselves_are_pinned() -> None:
    assert torch.backends.cpu.get_cpu_capability() == "AVX2"
    assert torch.get_num_threads() == 1
    assert not np._core._multiarray_umath.__cpu_features__["X86_V4"]
