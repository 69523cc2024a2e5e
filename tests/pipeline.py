"""What the tests of the pipeline read from the code: which of the project's files a stage depends on.

`python -m tests.pipeline` writes them into dvc.yaml, for a new import changes the deps of every stage above it.
"""

import ast
import re
from collections.abc import Iterable
from pathlib import Path

ROOT = Path(__file__).parents[1]
PACKAGES = ("src", "stages", "commands")
PLUGINS = ("classifiers", "detectors", "backbones", "datasets")  # folders whose files parameters choose


def imports(path: Path) -> set[Path]:
    """Files of this project that a file imports, anywhere in it."""
    names: list[str] = []
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            names += [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom) and node.module:
            names += [node.module, *(f"{node.module}.{alias.name}" for alias in node.names)]
    files = {
        ROOT / f"{name.replace('.', '/')}.py" for name in names if name.split(".")[0] in ("src", "stages", "commands")
    }
    return {file for file in files if file.exists()}


def closure(path: Path) -> set[str]:
    """The file and all that it imports, directly or not, as paths from the root."""
    seen, waiting = {path}, [path]
    while waiting:
        new = imports(waiting.pop()) - seen
        seen |= new
        waiting += new
    return {file.relative_to(ROOT).as_posix() for file in seen}


def code(script: str, deps: Iterable[str]) -> set[str]:
    """The files that a stage depends on, but for the plug-ins that parameters choose.

    Args:
        script: its name in stages/.
        deps: of the stage; those in `PLUGINS` are plug-ins, whose own imports belong to the stage.
    """
    kinds = {kind for kind in PLUGINS for dep in deps if dep.startswith(f"src/{kind}")}
    files = [
        ROOT / f"stages/{script}.py",
        *(file for kind in kinds for file in (ROOT / f"src/{kind}").glob("[!_]*.py")),
    ]
    return {name for file in files for name in closure(file) if not is_plugin(name)}


def is_plugin(dep: str) -> bool:
    """Whether a dependency is a plug-in, or the folder of all of a kind."""
    return any(dep == f"src/{kind}" or dep.startswith(f"src/{kind}/") for kind in PLUGINS)


def write_deps(pipeline: Path) -> None:
    """Put the code of each stage behind the data and the plug-ins among its deps; all else stays as it is."""
    lines: list[str] = []
    script = ""
    for line in pipeline.read_text().splitlines():
        if command := re.match(r" +(?:cmd: )?python -m stages\.(\w+)", line):
            script = command[1]
        if (item := re.fullmatch(r" +- ((?:src|stages)/[\w/]+\.py)", line)) and not is_plugin(item[1]):
            continue
        if lines and _in_deps(lines) and not line.lstrip().startswith("- "):
            head = max(number for number, before in enumerate(lines) if before.endswith(" deps:"))
            indent = " " * (len(lines[head]) - len(lines[head].lstrip()) + 2)
            deps = [before.lstrip(" -") for before in lines[head + 1 :]]
            lines += [f"{indent}- {file}" for file in sorted(code(script, deps))]
        lines.append(line)
    pipeline.write_text("\n".join(lines) + "\n")


def _in_deps(lines: list[str]) -> bool:
    """Whether the last line is `deps:` or an entry below it."""
    last = next((line for line in reversed(lines) if not line.lstrip().startswith("- ")), "")
    return last.endswith(" deps:")


if __name__ == "__main__":
    write_deps(ROOT / "dvc.yaml")
