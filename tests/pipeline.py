"""What the tests of the pipeline read from the code: which of the project's files a stage depends on.

`python -m tests.pipeline` writes them into dvc.yaml, for a new import changes the deps of every stage above it.
"""

import ast
import re
from pathlib import Path

ROOT = Path(__file__).parents[1]


def imports(path: Path) -> set[Path]:
    """Files of this project that a file imports, anywhere in it."""
    names: list[str] = []
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            names += [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom) and node.module:
            names += [node.module, *(f"{node.module}.{alias.name}" for alias in node.names)]
    files = {ROOT / f"{name.replace('.', '/')}.py" for name in names if name.split(".")[0] in ("src", "stages")}
    return {file for file in files if file.exists()}


def closure(path: Path) -> set[str]:
    """The file and all that it imports, directly or not, as paths from the root."""
    seen, waiting = {path}, [path]
    while waiting:
        new = imports(waiting.pop()) - seen
        seen |= new
        waiting += new
    return {file.relative_to(ROOT).as_posix() for file in seen}


def write_deps(pipeline: Path) -> None:
    """Put the closure of each stage's script behind the data among its deps; all else in the file stays as it is."""
    lines: list[str] = []
    script = ""
    for line in pipeline.read_text().splitlines():
        if command := re.match(r" +(?:cmd: )?python -m stages\.(\w+)", line):
            script = command[1]
        if re.fullmatch(r" +- (src|stages)/[\w/]+\.py", line):
            continue
        if lines and _in_deps(lines) and not line.lstrip().startswith("- "):
            indent = " " * (len(lines[-1]) - len(lines[-1].lstrip()) + (2 if lines[-1].endswith("deps:") else 0))
            lines += [f"{indent}- {file}" for file in sorted(closure(ROOT / f"stages/{script}.py"))]
        lines.append(line)
    pipeline.write_text("\n".join(lines) + "\n")


def _in_deps(lines: list[str]) -> bool:
    """Whether the last line is `deps:` or an entry below it."""
    last = next((line for line in reversed(lines) if not line.lstrip().startswith("- ")), "")
    return last.endswith(" deps:")


if __name__ == "__main__":
    write_deps(ROOT / "dvc.yaml")
