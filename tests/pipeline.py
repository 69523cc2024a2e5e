"""What the tests of the pipeline read from the code: imports, and the sections of parameters that a stage uses."""

import ast
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
