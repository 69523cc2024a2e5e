"""The measurement of chance: its runs in clones, which are not repeated, and the deviations computed from them."""

import json
import statistics
import subprocess
from collections.abc import Mapping
from pathlib import Path
from types import MappingProxyType

import pytest
from ruamel.yaml import YAML

from commands import deviation
from src.errors import InputError
from stages.arithmetic import SETTINGS

RUNS = {
    "seed 0": {"a.map": 0.6, "b.accuracy": 0.9},
    "seed 1": {"a.map": 0.7, "b.accuracy": 0.9},
    "seed 2": {"a.map": 0.5, "b.accuracy": 0.9},
    "ARITHMETIC=native": {"a.map": 0.64, "b.accuracy": 0.9},
}


def test_seeds_and_arithmetics_are_told_apart() -> None:
    found = deviation.deviations(RUNS)
    assert found["a.map"]["seed"] == pytest.approx(statistics.stdev([0.6, 0.7, 0.5]))
    assert found["a.map"]["arithmetic"] == pytest.approx(statistics.stdev([0.6, 0.64]))
    assert found["a.map"]["runs"] == {name: figures["a.map"] for name, figures in RUNS.items()}
    assert found["b.accuracy"]["seed"] == 0


def test_one_run_alone_has_no_deviation() -> None:
    found = deviation.deviations({"seed 0": RUNS["seed 0"]})
    assert found["a.map"]["seed"] is found["a.map"]["arithmetic"] is None


def test_the_table_has_each_metric_with_its_errors(tmp_path: Path) -> None:
    (tmp_path / "toy.json").write_text(json.dumps({"accuracy": 0.91234, "standard_error": {"accuracy": 0.01}}))
    runs = {"seed 0": {"toy.accuracy": 0.91}, "seed 1": {"toy.accuracy": 0.93}}
    lines = deviation.table(deviation.deviations(runs), tmp_path).splitlines()
    assert lines[2:] == ["| toy.accuracy | 0.912 | 0.0100 | 0.0141 | - | 0.910 to 0.930 |"]


def test_without_a_measurement_a_folder_is_asked_for(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="deviation.json is missing: run `make repro`, then this command"):
        deviation.read(tmp_path / "deviation.json")


@pytest.mark.parametrize("words", ["", "OMP_NUM_THREADS", "=2"])
def test_what_is_no_environment_is_refused(words: str) -> None:
    with pytest.raises(InputError, match="must be NAME=VALUE"):
        deviation.variables_of(words)


@pytest.mark.parametrize("again", ["B=2 A=1", "A=1  B=2", " A=1 B=2 ", "A=1 B=2"])
def test_the_same_variables_in_other_words_are_one_run(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, again: str
) -> None:
    """Two runs at the same time in one clone would overwrite each other's files."""
    made = []

    def make(folder: Path, seed: int, variables: Mapping[str, str], methods: list[str]) -> dict[str, float]:
        made.append((seed, list(variables.items())))
        return {"a.map": 0.5}

    monkeypatch.setattr(deviation, "make", make)
    monkeypatch.setattr(deviation, "read", lambda _: {"a.map": 0.6})
    found = deviation.all_runs(tmp_path, 0, [0], ["A=1 B=2", again, "A=1"], [], 1)
    assert made == [(0, [("A", "1"), ("B", "2")]), (0, [("A", "1")])]
    assert list(found) == ["seed 0", "A=1 B=2", "A=1"]


@pytest.fixture
def repository(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    root = tmp_path / "repository"
    root.mkdir()
    (root / "params.yaml").write_text("seed: 0  # of networks\nother: 1.0e-4\n")
    for command in (["init"], ["add", "."], ["-c", "user.name=t", "-c", "user.email=t@e.org", "commit", "-m", "c"]):
        subprocess.run(["git", *command], cwd=root, check=True, capture_output=True)
    monkeypatch.chdir(root)
    return root


def test_a_run_is_a_clone_with_another_seed_and_the_same_images_and_is_made_once(
    repository: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen = []

    def dvc(clone: Path, words: list[str], variables: Mapping[str, str] = MappingProxyType({})) -> None:
        seen.append((words[0], (clone / "params.yaml").read_text().splitlines()[0], dict(variables)))
        (clone / "metrics").mkdir(exist_ok=True)
        (clone / deviation.SUMMARY).write_text(json.dumps({"a.map": 0.5}))

    monkeypatch.setattr(deviation, "dvc", dvc)
    for _ in range(2):
        assert deviation.make(tmp_path / "runs", 3, {"ARITHMETIC": "native"}, []) == {"a.map": 0.5}
    assert seen == [
        ("remote", "seed: 0  # of networks", {}),
        ("pull", "seed: 0  # of networks", {}),
        ("repro", "seed: 3  # of networks", {"ARITHMETIC": "native"}),
    ]
    assert (repository / "params.yaml").read_text().startswith("seed: 0")


def test_some_methods_alone_run_the_stages_of_their_metrics_and_leave_the_other_figures(
    repository: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    stage = {"cmd": "", "metrics": ["metrics/a.json"]}
    other = {"cmd": "", "metrics": ["metrics/b.json"]}
    YAML().dump({"stages": {"evaluate_a": stage, "evaluate_b": other}}, Path("dvc.yaml"))
    Path("metrics").mkdir()
    Path(deviation.SUMMARY).write_text(json.dumps({"a.map_coco": 0.6, "b.map_coco": 0.9}))
    for command in (["add", "."], ["-c", "user.name=t", "-c", "user.email=t@e.org", "commit", "-m", "c"]):
        subprocess.run(["git", *command], check=True, capture_output=True)
    seen = []

    def dvc(clone: Path, words: list[str], variables: Mapping[str, str] = MappingProxyType({})) -> None:
        seen.append(words)
        (clone / "metrics/a.json").write_text(json.dumps({"map_coco": 0.7}))

    monkeypatch.setattr(deviation, "dvc", dvc)
    found = deviation.all_runs(tmp_path / "runs", 0, [0, 1], [], ["a"], 1)
    assert found == {"seed 0": {"a.map_coco": 0.6}, "seed 1": {"a.map_coco": 0.7}}
    assert seen[-1] == ["repro", "evaluate_a"]
    with pytest.raises(InputError, match=r"--methods has c, which metrics/summary\.json does not have: take of a, b"):
        deviation.all_runs(tmp_path / "runs", 0, [0, 1], [], ["c"], 1)


def test_a_run_that_fails_says_where_its_output_is_and_is_made_again(repository: Path, tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"`dvc remote add .*` failed in .*dvc\.log"):  # no DVC in this clone
        deviation.make(tmp_path / "runs", 1, {}, [])
    assert not list((tmp_path / "runs").glob("*.json"))


def test_the_workspace_is_the_run_of_its_own_seed(repository: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Its seed comes from params.yaml, so that no order of --seeds can give its figures to another seed."""
    Path("metrics").mkdir()
    Path(deviation.SUMMARY).write_text(json.dumps({"a.map": 0.6}))
    monkeypatch.setattr(deviation, "make", lambda folder, seed, variables, _: {"a.map": seed / 10 + len(variables)})
    found = deviation.all_runs(Path("runs"), 2, [0, 1, 2], ["ARITHMETIC=native"], [], 1)
    assert {name: run["a.map"] for name, run in found.items()} == {
        "seed 2": 0.6,
        "seed 0": 0.0,
        "seed 1": 0.1,
        "ARITHMETIC=native": 1.2,
    }


def test_a_run_does_not_inherit_the_pinned_arithmetic_of_this_process(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Otherwise a native run would be a pinned one with another name."""
    monkeypatch.setenv("ATEN_CPU_CAPABILITY", "avx2")
    monkeypatch.setenv("MKL_NUM_THREADS", "2")
    seen: list[dict[str, str]] = []

    def run(command: list[str], env: dict[str, str], **more: object) -> subprocess.CompletedProcess[str]:
        seen.append(env)
        return subprocess.CompletedProcess(command, 0)

    monkeypatch.setattr(deviation.subprocess, "run", run)
    deviation.dvc(tmp_path, ["repro"], {"ARITHMETIC": "native", "OMP_NUM_THREADS": "1"})
    (child,) = seen
    assert {name: child.get(name) for name in SETTINGS} == {**dict.fromkeys(SETTINGS), "OMP_NUM_THREADS": "1"}
    assert child["ARITHMETIC"] == "native"
