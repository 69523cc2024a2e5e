"""The plan of the GPU benchmark: one part that fails or takes too long costs no figure of the others."""

import json
import os
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

from benchmarks import gpu
from benchmarks.gpu import LIMITS, run_part
from benchmarks.gpu_params import Options, parameters, section_of
from benchmarks.gpu_parts import PARTS
from benchmarks.gpu_tables import tables
from src.errors import InputError
from src.params import validated
from src.schema import Params

ROW = "import sys, pathlib; pathlib.Path('part.jsonl').write_text('{\"kind\": \"a\"}\\n'); "


@pytest.fixture
def part(tmp_path: Path) -> Callable[..., dict[str, Any]]:
    """Run a program as a part."""

    def run(program: str, limit: float = 60) -> dict[str, Any]:
        code = f"import os; os.chdir({str(tmp_path)!r}); {program}"
        return run_part([sys.executable, "-c", code], tmp_path, "part", limit)

    return run


def test_a_part_that_succeeds_has_its_rows_and_no_error(part: Callable[..., dict[str, Any]]) -> None:
    found = part(ROW)
    assert found["rows"] == [{"kind": "a"}]
    assert found["error"] is None
    assert found["seconds"] > 0
    assert part("pass")["rows"] == []  # and none of the run before


def test_a_part_that_fails_keeps_its_rows_and_its_last_words(part: Callable[..., dict[str, Any]]) -> None:
    found = part(ROW + "raise ValueError('no room')")
    assert found["rows"] == [{"kind": "a"}]
    assert found["error"].endswith("ValueError: no room")


def test_a_part_finds_packages_that_lie_elsewhere(
    part: Callable[..., dict[str, Any]], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "site").mkdir()
    (tmp_path / "site/lying_elsewhere.py").touch()
    monkeypatch.setenv("PYTHONPATH", str(tmp_path / "site"))
    assert part("import lying_elsewhere, benchmarks.gpu_params")["error"] is None


def test_a_part_over_its_limit_is_killed_with_its_children_and_keeps_its_rows(
    part: Callable[..., dict[str, Any]], tmp_path: Path
) -> None:
    child = "import subprocess, time; c = subprocess.Popen(['sleep', '600']); "
    found = part(ROW + child + "pathlib.Path('pid').write_text(str(c.pid)); time.sleep(600)", limit=3)
    assert found["rows"] == [{"kind": "a"}]
    assert found["error"] == "killed after its limit of 3 s"
    pid = int((tmp_path / "pid").read_text())
    for _ in range(100):
        if not _runs(pid):
            return
        time.sleep(0.05)
    pytest.fail("the child lives on")


def _runs(pid: int) -> bool:
    status = Path(f"/proc/{pid}/stat")
    return status.exists() and status.read_text().rpartition(")")[2].split()[0] != "Z"


def weights(folder: Path) -> Path:
    for name in ("alexnet_features.pth", "vgg16.pth"):
        torch.save({}, folder / name)
    return folder


@pytest.fixture
def options(tmp_path: Path) -> Options:
    return Options(photos=tmp_path, weights=weights(tmp_path))


def test_results_are_written_after_each_part_and_those_of_other_parts_stay(
    options: Options, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    out, seen = tmp_path / "gpu.json", []
    out.write_text(json.dumps({"parts": {"resnet50": {"rows": [1]}}}))

    def run_part(command: Any, folder: Path, name: str, limit: float) -> dict[str, Any]:
        seen.append((name, limit, list(json.loads(out.read_text())["parts"])))
        rows = [{"kind": name, "device": "a GPU"}] if name == "machine" else []
        return {"seconds": 1.0, "error": "failed" if name == "rpn" else None, "rows": rows}

    monkeypatch.setattr(gpu, "run_part", run_part)
    results = gpu.run(options.model_copy(update={"limits": 2.0}), ["resume", "rpn"], out, tmp_path)
    assert [name for name, _, _ in seen] == ["machine", "prepare", "rpn", "resume"]
    assert [limit for _, limit, _ in seen] == [2.0 * LIMITS[name] for name, _, _ in seen]
    assert seen[-1][2] == ["machine", "prepare", "rpn", "resnet50"]  # the failed one too
    assert results == json.loads(out.read_text())
    assert results["parts"]["resnet50"] == {"rows": [1]}
    assert results["parts"]["rpn"]["commit"]
    assert results["parts"]["rpn"]["device"] == "a GPU"


def test_without_its_inputs_no_part_runs(options: Options, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    failed = {"seconds": 1.0, "error": "failed", "rows": []}
    monkeypatch.setattr(
        gpu, "run_part", lambda command, folder, name, limit: {**failed, "error": failed["error"] * (name == "prepare")}
    )
    assert list(gpu.run(options, list(LIMITS), tmp_path / "gpu.json", tmp_path)["parts"]) == ["machine", "prepare"]


def test_the_plan_has_all_parts_and_ends_in_25_minutes() -> None:
    assert list(LIMITS) == list(PARTS)
    assert sum(LIMITS.values()) <= 25 * 60


def test_parameters_are_those_of_the_profile_and_valid(options: Options) -> None:
    content = parameters(options)
    validated(content, Params, "")
    ssd = section_of(content, "ssd300")
    assert (ssd["model"]["size"], ssd["train"]["batch_size"], ssd["train"]["precision"]) == (300, 32, "bf16-mixed")
    assert section_of(content, "rpn")["model"]["longest"] == 1000
    assert content["warp"] == {"size": 227, "context": 16}
    assert Path(ssd["weights"]).name == "vgg16.pth"
    assert Path(section_of(content, "finetune")["weights"]).name == "alexnet_features.pth"


def test_a_rehearsal_shrinks_inputs_anchors_and_batches(options: Options) -> None:
    content = parameters(options.model_copy(update={"size": 96, "batch": 2, "images": 3}))
    validated(content, Params, "")
    for name in ("finetune", "ssd300", "rpn", "mobilenet_v3", "resnet50"):
        assert section_of(content, name)["train"]["batch_size"] <= 2
    model = section_of(content, "rpn")["model"]
    assert (model["size"], model["longest"], model["scales"]) == (192, 320, pytest.approx([40.96, 81.92, 163.84]))
    assert len(section_of(content, "ssd300")["model"]["aspect_ratios"]) == 4
    assert content["data"]["voc"]["limit"] == 3


def test_weights_that_are_missing_are_named(options: Options) -> None:
    (options.weights / "vgg16.pth").unlink()
    with pytest.raises(InputError, match=r"must hold one file vgg16\*\.pth .* and has none"):
        parameters(options)


def test_tables_show_every_kind_of_row_and_the_errors() -> None:
    time = {"steps": 3, "step": 0.05, "step_lower": 0.04, "step_upper": 0.06, "images_per_second": 640.0}
    training = {"kind": "training", "trainer": "ssd300", "batch_size": 32, "precision": "bf16-mixed", "workers": 8}
    rows = [
        {**training, **time, "utilisation": 0.9, "gigabytes": 7.0},
        {**training, **time, "utilisation": 0.5, "kind": "long training", "all_steps": 2000, "minutes": 2.5},
        {"kind": "features", "workers": 8, "regions": 100, "images": 2, "per_second": 9000.0},
        {**training, "kind": "inference", "detector": "rpn", "batch_size": 1, "alone": 90.0, "from_file": 50.0},
        {"kind": "resume", "run": "resumed", "equal_bytes": False, "largest_difference": 1e-7},
        {"kind": "scores", "trainer": "ssd300", "all_steps": 2000, "map_voc07": 0.3},
        {"kind": "machine", "device": "a GPU", "cpus": 16, "cuda": "13", "versions": {"torch": "2.11.0"}},
        {"kind": "proposals", "images": 2, "seconds": 3.0},
    ]
    part = {"rows": rows, "seconds": 60.0, "error": None, "commit": "abc", "device": "a GPU"}
    text = tables({"parts": {"ssd300": part, "resume": {**part, "rows": [], "error": "failed: x\nno room"}}})
    for line in (
        "| ssd300 | 32 | bf16-mixed | 8 | 50.0 (40.0 to 60.0) | 640.0 | 0.90 | 7.0 |",
        "| ssd300 | 2000 | 32 | 2.5 | 50.0 (40.0 to 60.0) | 640.0 | 0.50 |  |",
        "| AlexNet | 100 | 8 | 9000 |",
        "| rpn | 1 | bf16-mixed | 50.0 | 90.0 |",
        "| killed, resumed | no | 1.0e-07 |",
        "* ssd300 after 2000 steps: mAP at IoU 0.5 0.300.",
        "* Machine: a GPU, 16 CPUs, CUDA 13; torch 2.11.0.",
        "* Commit abc; 2.0 minutes on a GPU.",
        "* resume did not end: no room",
    ):
        assert line in text.splitlines()


@pytest.mark.slow
@pytest.mark.real
def test_the_whole_plan_can_be_rehearsed_on_a_cpu(shared_data: Path, tmp_path: Path) -> None:
    files = [f"--photos={shared_data / 'voc2007-subset.tar'}", f"--weights={shared_data / 'weights'}"]
    small = ["--steps", "1", "--long", "1", "--images", "2", "--size", "96", "--batch", "2", "--limits", "10"]
    command = [sys.executable, "-m", "benchmarks.gpu", *files, *small, f"--out={tmp_path / 'gpu.json'}"]
    done = subprocess.run(command, env={**os.environ, "DEVICE": "cpu", "WORKERS": "1"}, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
    parts = json.loads((tmp_path / "gpu.json").read_text())["parts"]
    assert list(parts) == list(LIMITS)
    assert [row["equal_bytes"] for row in parts["resume"]["rows"]] == [True, True]
