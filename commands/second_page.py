"""The report a second time, in a file of its own, with something that the pipeline's page must leave out.

The pipeline's page must be the same for the same outputs. Times and comparisons with other revisions are not.
"""

import subprocess
import sys
from pathlib import Path

from ruamel.yaml import YAML

from src.errors import InputError


def words(pipeline: Path, out: Path, option: str, path: Path) -> list[str]:
    """Return the arguments of the pipeline's own command for the report, with another output and one more option.

    Args:
        pipeline: dvc.yaml.
        out: the page to write.
        option: of stages/report.py, such as `--times`.
        path: its file.
    """
    command = YAML(typ="safe").load(pipeline.read_text())["stages"]["report"]["cmd"].split()[1:]
    command[command.index("--out") + 1] = str(out)
    return [*command, option, str(path)]


def write(out: Path, option: str, path: Path, pipeline: Path = Path("dvc.yaml")) -> None:
    """Write the page from the outputs in this folder; if the stage fails, it says why, and this is an `InputError`."""
    if subprocess.run([sys.executable, *words(pipeline, out, option, path)]).returncode:
        raise InputError(f"{out} was not written, for the reason above; {path} is there")
