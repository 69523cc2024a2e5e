"""The quick `python` of the tests behaves like the real one."""

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests import forked

MODULE = """
import os, sys
from there import WORD
print(WORD, sys.argv[1:], os.environ["HERE"], __name__, os.path.basename(sys.argv[0]), "torch" in sys.modules)
print("an error", file=sys.stderr)
"""


@pytest.fixture(scope="module")
def commands(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    with forked.server(tmp_path_factory.mktemp("commands")) as folder:
        yield folder


def run(python: str, folder: Path) -> tuple[int, str, str]:
    environment = {**os.environ, "HERE": folder.name, "PYTHONPATH": ""}
    command = [python, "-m", "module", "--out", "a b"]
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, env=environment)
    return done.returncode, done.stdout, done.stderr


@pytest.mark.parametrize(
    "end", ["", "sys.exit(3)", "sys.exit('a sentence')", "sys.exit(None)", "raise ValueError('a traceback')"]
)
def test_a_module_has_the_arguments_the_folder_the_environment_and_the_end_that_python_gives_it(
    commands: Path, tmp_path: Path, end: str
) -> None:
    (tmp_path / "there.py").write_text("WORD = 'of this folder'\n")
    (tmp_path / "module.py").write_text(MODULE + end)
    wanted, found = run(sys.executable, tmp_path), run(str(commands / "python"), tmp_path)
    assert found[0] == wanted[0]
    assert found[1].replace("True", "False") == wanted[1]  # for torch, which the server has imported already
    assert found[2].splitlines()[0] == wanted[2].splitlines()[0] == "an error"
    assert found[2].splitlines()[-1] == wanted[2].splitlines()[-1]


def test_what_is_no_module_goes_to_the_real_python(commands: Path) -> None:
    assert subprocess.check_output([commands / "python", "-c", "print(1 + 1)"], text=True) == "2\n"
