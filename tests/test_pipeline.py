"""dvc.yaml agrees with the code, which DVC cannot check, because it follows no imports."""

import ast
import importlib
import inspect
import json
import re
import statistics
import subprocess
from fnmatch import fnmatch
from pathlib import Path

import pytest
from ruamel.yaml import YAML

from commands.write_deps import ROOT, code, imports, unfolded, write_deps
from src import plugins
from src.detection.running import class_agnostic, takes_proposals
from src.params import read_params
from src.schema import Params

PIPELINE = YAML(typ="safe").load((ROOT / "dvc.yaml").read_text())["stages"]
STAGES = {name: stage.get("do", stage) for name, stage in PIPELINE.items()}


CHECKED = ("data/checked", "data/watched/${key}")  # no stage reads them: they only order and start the stages


def script(stage: dict) -> str:
    return stage["cmd"].split()[2].removeprefix("stages.")


@pytest.mark.parametrize("name", STAGES)
def test_deps_are_the_closure_of_the_imports(name: str) -> None:
    deps = STAGES[name]["deps"]
    assert unfolded(deps) == code(script(STAGES[name]), deps)


@pytest.mark.parametrize("name", STAGES)
def test_a_stage_that_loads_a_plug_in_depends_on_it(name: str) -> None:
    deps = STAGES[name]["deps"]
    loads = "src/plugins.py" in deps
    detectors, classifiers, datasets, backbones = (
        any(dep.startswith(f"src/{kind}") for dep in deps)
        for kind in ("detectors", "classifiers", "datasets", "backbones")
    )
    assert loads == (detectors or classifiers or datasets)
    assert backbones == detectors


def test_the_command_that_writes_deps_changes_nothing_else_and_puts_back_what_is_missing(tmp_path: Path) -> None:
    whole = (ROOT / "dvc.yaml").read_text()
    lines = whole.splitlines(keepends=True)
    (tmp_path / "dvc.yaml").write_text("".join(line for line in lines if line.strip() != "- src/errors.py"))
    write_deps(tmp_path / "dvc.yaml")
    assert (tmp_path / "dvc.yaml").read_text() == whole


@pytest.mark.parametrize("name", [name for name in STAGES if name != "check"])
def test_params_are_the_sections_that_the_stage_reads(name: str) -> None:
    run = importlib.import_module(f"stages.{script(STAGES[name])}").run
    model = next(iter(inspect.signature(run).parameters.values())).annotation
    assert {key.split(".")[0] for key in STAGES[name].get("params", [])} == set(model.model_fields)


def items(name: str, content: dict) -> list[str]:
    """Return the names that a stage exists for: those that it lists, or those of a section of the parameters."""
    listed = PIPELINE[name].get("foreach", [""])
    return list(content[listed[2:-1]] if isinstance(listed, str) else listed)


@pytest.mark.parametrize("name", [name for name in STAGES if "splits" not in STAGES[name].get("params", ["splits"])])
def test_a_stage_follows_the_splits_that_it_reads_and_no_other(name: str) -> None:
    """Otherwise a change of the detectors' images would train R-CNN again."""
    used = set(re.findall(r"params\.splits\.(\w+)", (ROOT / f"stages/{script(STAGES[name])}.py").read_text()))
    if "of_regions" in used:
        used = used - {"of_regions"} | {"finetune", "validation", "train", "test"}
    assert {key for key in STAGES[name].get("params", []) if key.startswith("splits.")} == {f"splits.{k}" for k in used}


def test_every_tracked_parameter_exists() -> None:
    content = YAML(typ="safe").load((ROOT / "params.yaml").read_text())
    for name, stage in STAGES.items():
        for key in stage.get("params", []):
            for item in items(name, content):
                value = content
                for part in key.replace("${item}", item).replace("${key}", item).split("."):
                    assert part in value, key
                    value = value[part]


def test_params_yaml_is_valid_and_every_section_is_read_by_a_stage() -> None:
    read_params(ROOT / "params.yaml", Params)
    read = {key.split(".")[0] for stage in STAGES.values() for key in stage.get("params", [])}
    assert not set(Params.model_fields) - read


def test_the_command_names_every_dependency_and_output() -> None:
    for name, stage in STAGES.items():
        data = [dep for dep in stage["deps"] if dep.startswith(("data/", "models/")) and dep not in CHECKED]
        for kind in ("outs", "metrics", "plots"):
            data += [next(iter(out)) if isinstance(out, dict) else out for out in stage.get(kind, [])]
        for path in data:
            assert path in stage["cmd"].split(), f"{name}: {path}"


def test_dvc_shows_the_headline_metrics_alone() -> None:
    assert [out for stage in STAGES.values() for out in stage.get("metrics", [])] == [
        {"metrics/summary.json": {"cache": False}}
    ]


def test_every_evaluated_method_is_in_the_summary() -> None:
    stage = STAGES["summary"]
    detectors, proposals = (PIPELINE[f"evaluate_{kind}"]["foreach"] for kind in ("detections", "proposals"))
    methods = [*detectors, *(f"proposals_{name}" for name in proposals if not name.endswith("_untrained"))]
    files = [f"metrics/{name}.json" for name in methods]
    assert [dep for dep in stage["deps"] if dep.startswith("metrics/")] == files
    assert [word for word in stage["cmd"].split() if word in files] == files


def test_every_artifact_is_an_output() -> None:
    content = YAML(typ="safe").load((ROOT / "params.yaml").read_text())
    outputs = {
        next(iter(out)) if isinstance(out, dict) else out
        for name, stage in STAGES.items()
        for item in items(name, content)
        for out in json.loads(re.sub(r"\$\{(item|key)\}", item, json.dumps(stage.get("outs", []))))
    }
    artifacts = YAML(typ="safe").load((ROOT / "dvc.yaml").read_text())["artifacts"]
    assert {artifact["path"] for artifact in artifacts.values()} <= outputs


def test_every_detector_of_classes_is_detected_and_evaluated() -> None:
    """A detector that is added to params.yaml alone is trained, but nothing else: dvc.yaml lists the rest."""
    detectors = [name for name in plugins.names("detectors") if not class_agnostic(name)]
    assert sorted([*PIPELINE["detect"]["foreach"], *PIPELINE["detect_on_proposals"]["foreach"]]) == detectors
    assert sorted(PIPELINE["evaluate_detections"]["foreach"]) == sorted(["rcnn", *detectors])


def test_the_detectors_that_take_proposals_depend_on_them_and_the_others_do_not() -> None:
    for name in plugins.names("detectors"):
        takes = takes_proposals(plugins.load("detectors", name))
        assert (name in PIPELINE["train_on_proposals"]["foreach"]) == takes
        assert (name in PIPELINE["train_detector"]["foreach"]) != takes
    for stage in ("train_on_proposals", "detect_on_proposals"):
        assert "data/proposals/${item.proposals}.npz" in STAGES[stage]["deps"]


def joined(out: str, dep: str) -> bool:
    """Tell whether a dependency is an output, or one is a file in the other; both may have `*`."""
    return fnmatch(out, dep) or fnmatch(dep, out) or out.startswith(f"{dep}/") or dep.startswith(f"{out}/")


def test_every_stage_stands_behind_check() -> None:
    patterns = {name: json.loads(re.sub(r"\$\{.*?\}", "*", json.dumps(stage))) for name, stage in STAGES.items()}
    made = [CHECKED[0]]
    waiting = {name: stage["deps"] for name, stage in patterns.items() if name != "check"}
    while ready := [name for name, deps in waiting.items() if any(joined(out, dep) for dep in deps for out in made)]:
        for name in ready:
            del waiting[name]
            made += [next(iter(out)) if isinstance(out, dict) else out for out in patterns[name].get("outs", [])]
    assert not waiting


def test_git_ignores_every_cached_output_and_no_figure() -> None:
    cached, tracked = [], []
    for stage in STAGES.values():
        for out in [out for kind in ("outs", "metrics", "plots") for out in stage.get(kind, [])]:
            path, options = next(iter(out.items())) if isinstance(out, dict) else (out, {})
            (cached if options.get("cache", True) else tracked).append(path)
    assert all(path.startswith("metrics/") for path in tracked)
    ignored = subprocess.run(
        ["git", "check-ignore", "--no-index", *cached, *tracked], cwd=ROOT, capture_output=True, text=True
    ).stdout.split()
    assert ignored == cached


GROUND = {"errors", "params", "plugins", "parallel", "splits"}  # modules directly in src that all may import
ALL = {"schema", "checks"}  # modules directly in src that may import everything below
LAYERS = [  # folders of src; imports point down, from a later layer to an earlier one or within a folder
    {"boxes"},
    {"files", "selective_search"},
    {"networks", "training"},
    {"evaluation", "ingest"},
    {"detection", "classification"},
    {"rcnn"},
    {"datasets", "proposals", "detectors", "backbones", "classifiers"},
    {"prediction"},
    {"demo", "export", "cards", "report", "pictures"},
]
SHELVES = next(layer for layer in LAYERS if "detectors" in layer)
MODULES = sorted(path for path in (ROOT / "src").rglob("*.py") if path.name != "__init__.py")
MOST_LINES = 300


def folder(path: Path) -> str:
    return path.relative_to(ROOT / "src").parts[0].removesuffix(".py")


def layer(path: Path) -> int:
    if (name := folder(path)) in GROUND:
        return -1
    if name in ALL:
        return len(LAYERS) + sorted(ALL, reverse=True).index(name)  # checks import the schema
    return next(number for number, names in enumerate(LAYERS) if name in names)


@pytest.mark.parametrize("path", MODULES, ids=lambda path: str(path.relative_to(ROOT)))
def test_imports_point_down(path: Path) -> None:
    for other in imports(path):
        assert other.is_relative_to(ROOT / "src"), f"{path} imports {other}"
        assert layer(other) < layer(path) or folder(other) == folder(path) or layer(other) == -1 == layer(path), (
            f"{path} imports {other}"
        )


def test_every_folder_says_what_it_is_for_and_imports_nothing() -> None:
    folders = {path.parent for path in MODULES} - {ROOT / "src"}
    for path in folders:
        tree = ast.parse((path / "__init__.py").read_text())
        assert ast.get_docstring(tree), path
        assert len(tree.body) == 1, path
    top = {path for path in folders if path.parent == ROOT / "src"}
    assert {path.name for path in top} == set.union(*LAYERS)
    assert len(folders) + len(GROUND | ALL) <= 30


@pytest.mark.parametrize("path", [*MODULES, *sorted((ROOT / "stages").glob("*.py"))], ids=str)
def test_no_file_is_longer_than_a_reader_takes_in(path: Path) -> None:
    assert len(path.read_text().splitlines()) <= MOST_LINES


def test_the_tests_mirror_the_library() -> None:
    folders = {path.parent.relative_to(ROOT / "tests").as_posix() for path in (ROOT / "tests").rglob("test_*.py")}
    library = {path.parent.relative_to(ROOT / "src").as_posix() for path in MODULES}
    assert folders <= library | {".", "stages", "commands"}


def test_a_stage_is_a_short_script() -> None:
    lengths = [len((ROOT / f"stages/{script(stage)}.py").read_text().splitlines()) for stage in STAGES.values()]
    assert max(lengths) <= 80
    assert statistics.median(lengths) < 45


def test_every_file_of_stages_is_run_by_dvc_or_serves_those_that_are() -> None:
    files = {path.stem for path in (ROOT / "stages").glob("*.py")}
    serving = {"__init__", "arithmetic", "cluster", "command", "environment", "fabric", "group", "inputs"}
    serving |= {"connection", "edited", "remote", "tasks"}
    assert files == {script(stage) for stage in STAGES.values()} | serving


@pytest.mark.parametrize("name", sorted({script(stage) for stage in STAGES.values()}))
def test_every_stage_has_a_test_of_its_own(name: str) -> None:
    assert re.search(r"\brun\(", (ROOT / f"tests/stages/test_{name}.py").read_text())


@pytest.mark.parametrize("path", sorted((ROOT / "src").rglob("*.py")), ids=lambda path: str(path.relative_to(ROOT)))
def test_the_library_reads_neither_environment_nor_fixed_paths(path: Path) -> None:
    text = path.read_text()
    for word in ("os.environ", "os.getenv", '"params.yaml"', '"data/', '"models/', '"metrics/'):
        assert word not in text


@pytest.mark.parametrize("path", sorted((ROOT / "stages").glob("*.py")), ids=lambda path: path.name)
def test_no_stage_stands_on_a_command(path: Path) -> None:
    """Otherwise an edit of a command would run the stage again."""
    assert not any(other.is_relative_to(ROOT / "commands") for other in imports(path))


def test_the_table_of_disk_and_memory_has_every_stage() -> None:
    section = (ROOT / "docs/running.md").read_text().split("## Disk and memory")[1].split("\n## ")[0]
    rows = [line.split("|")[1] for line in section.splitlines() if line.startswith("| `")]
    assert {name for row in rows for name in re.findall(r"`(\w+)`", row)} == set(PIPELINE)


def test_the_table_of_the_cluster_has_every_stage_and_tells_which_give_it_work() -> None:
    table = (ROOT / "docs/cluster.md").read_text().split("\n## ")[0]
    rows = [line.split("|")[1:3] for line in table.splitlines() if line.startswith("| `")]
    said = {name: works.strip() for row, works in rows for name in re.findall(r"`(\w+)`", row)}
    assert set(said) == set(PIPELINE)
    for name, works in said.items():
        text = (ROOT / f"stages/{script(STAGES[name])}.py").read_text()
        asks = name != "check" and bool(re.search(r"\bpool\(\)|\bshare_of_cluster\(\)", text))  # `check` only looks
        assert (works == "no") != asks, name


PLOTS = {
    path.replace("${item}", item).replace("${key}", item): options
    for name, stage in STAGES.items()
    for item in items(name, YAML(typ="safe").load((ROOT / "params.yaml").read_text()))
    for plot in stage.get("plots", [])
    for path, options in plot.items()
}
SEVERAL = {
    title: options
    for plot in YAML(typ="safe").load((ROOT / "dvc.yaml").read_text())["plots"]
    for title, options in plot.items()
}


@pytest.mark.parametrize("path", PLOTS)
def test_a_plot_has_a_title(path: str) -> None:
    """tests/test_dvc.py, where the pipeline has run, compares its columns with its file."""
    assert PLOTS[path]["title"]
