"""Write into dvc.yaml the code that each stage depends on, and its detectors: `python -m commands.write_deps`.

DVC follows no imports, and a new import changes the deps of every stage above it. The deps of a stage are its script,
all modules of this project that the script imports, directly or not, and the plug-ins that its parameters choose. A
folder stands for its modules if the stage needs all of them. tests/test_pipeline.py compares dvc.yaml with the imports.

A detector whose file says `PROPOSALS = True` is in the stages that depend on proposals, any other in those that do not.
"""

import ast
import re
from collections.abc import Iterable
from pathlib import Path

from ruamel.yaml import YAML

from stages.command import command

ROOT = Path(__file__).parents[1]
PACKAGES = ("src", "stages", "commands")
PLUGINS = ("classifiers", "detectors", "backbones", "datasets")  # folders whose files parameters choose

TRAINED = ("train_detector", "train_on_proposals")  # stages for each detector, without and with proposals
DETECTED = ("detect", "detect_on_proposals")  # likewise, for each detector that distinguishes classes


def imports(path: Path) -> set[Path]:
    """Return the files of this project that a file imports, anywhere in it."""
    names: list[str] = []
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            names += [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom) and node.module:
            names += [node.module, *(f"{node.module}.{alias.name}" for alias in node.names)]
    files = {ROOT / f"{name.replace('.', '/')}.py" for name in names if name.split(".")[0] in PACKAGES}
    return {file for file in files if file.exists()}


def closure(path: Path) -> set[str]:
    """Return the file and all that it imports, directly or not, as paths from the root."""
    reached, waiting = {path}, [path]
    while waiting:
        new = imports(waiting.pop()) - reached
        reached |= new
        waiting += new
    return {file.relative_to(ROOT).as_posix() for file in reached}


def code(script: str, deps: Iterable[str]) -> set[str]:
    """Return the files that a stage depends on, except the plug-ins that parameters choose.

    Args:
        script: its name in stages/.
        deps: those of the stage; those in `PLUGINS` are plug-ins, whose own imports belong to the stage.
    """
    kinds = {kind for kind in PLUGINS for dep in deps if dep.startswith(f"src/{kind}")}
    files = [ROOT / f"stages/{script}.py", *(file for kind in kinds for file in _modules(ROOT / f"src/{kind}"))]
    return {name for file in files for name in closure(file) if not is_plugin(name)}


def is_plugin(dep: str) -> bool:
    """Tell whether a dependency is a plug-in, or the folder of all plug-ins of a kind."""
    return any(dep == f"src/{kind}" or dep.startswith(f"src/{kind}/") for kind in PLUGINS)


def folded(files: Iterable[str]) -> list[str]:
    """Replace the modules of a folder of src/ by the folder if all of them are there; the largest such folder wins."""
    left = set(files)
    folders = sorted((path for path in (ROOT / "src").rglob("*") if path.is_dir()), key=lambda path: len(path.parts))
    for folder in folders:
        modules = {path.relative_to(ROOT).as_posix() for path in _modules(folder)}
        if len(modules) > 1 and modules <= left:
            left = left - modules | {folder.relative_to(ROOT).as_posix()}
    return sorted(left)


def unfolded(deps: Iterable[str]) -> set[str]:
    """Return the modules that deps name, those of folders among them, without plug-ins; the inverse of `folded`."""
    modules: set[str] = set()
    for dep in deps:
        if dep.startswith(("src/", "stages/")) and not is_plugin(dep):
            path = ROOT / dep
            modules |= {file.relative_to(ROOT).as_posix() for file in ([path] if path.suffix else _modules(path))}
    return modules


def listed(text: str) -> str:
    """Return dvc.yaml with the detectors of params.yaml in the stages that train them and detect with them."""
    names = list(YAML(typ="safe").load((ROOT / "params.yaml").read_text())["detectors"])
    for stages, shown in ((TRAINED, names), (DETECTED, [name for name in names if not says(name, "CLASS_AGNOSTIC")])):
        for stage, takes in zip(stages, (False, True), strict=True):
            items = [f"      {name}: ${{detectors.{name}}}" for name in shown if says(name, "PROPOSALS") == takes]
            text = re.sub(rf"(\n  {stage}:\n    foreach:)[^\n]*(\n      .*)*", "\n".join([r"\1", *items]), text)
    return text


def says(detector: str, name: str) -> bool:
    """Tell whether a detector's file sets a name to True; the file is not run, because that would import PyTorch."""
    return any(
        isinstance(node, ast.Assign) and ast.unparse(node) == f"{name} = True"
        for node in ast.parse((ROOT / f"src/detectors/{detector}.py").read_text()).body
    )


def _modules(folder: Path) -> list[Path]:
    return sorted(path for path in folder.rglob("*.py") if path.name != "__init__.py")


def write_deps(pipeline: Path) -> None:
    """Write the lists of detectors, and the code of each stage after the data and the plug-ins among its deps.

    All else stays as it is.
    """
    lines: list[str] = []
    script = ""
    for line in listed(pipeline.read_text()).splitlines():
        if command := re.match(r" +(?:cmd: )?python -m stages\.(\w+)", line):
            script = command[1]
        if (item := re.fullmatch(r" +- ((?:src|stages)/[\w/.]+)", line)) and not is_plugin(item[1]):
            continue
        if lines and _in_deps(lines) and not line.lstrip().startswith("- "):
            head = max(number for number, before in enumerate(lines) if before.endswith(" deps:"))
            indent = " " * (len(lines[head]) - len(lines[head].lstrip()) + 2)
            deps = [before.lstrip(" -") for before in lines[head + 1 :]]
            lines += [f"{indent}- {file}" for file in folded(code(script, deps))]
        lines.append(line)
    pipeline.write_text("\n".join(lines) + "\n")


def _in_deps(lines: list[str]) -> bool:
    """Tell whether the last line is `deps:` or an entry below it."""
    last = next((line for line in reversed(lines) if not line.lstrip().startswith("- ")), "")
    return last.endswith(" deps:")


def run() -> None:
    """Write dvc.yaml."""
    write_deps(ROOT / "dvc.yaml")


if __name__ == "__main__":
    command(run)
