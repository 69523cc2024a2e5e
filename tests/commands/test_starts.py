"""The help of each stage and command, and a wrong name, need none of the libraries that take seconds to import."""

import subprocess
import sys
from pathlib import Path

import pytest

from benchmarks.starts import scripts
from commands.write_deps import ROOT

SLOW = ("torch", "torchvision", "lightning_fabric", "sklearn", "scipy", "pandas", "matplotlib", "gradio", "onnxruntime")
ALL = """
import contextlib, importlib.abc, io, runpy, sys

slow, names = sys.argv[1].split(), sys.argv[2].split()

class Refuse(importlib.abc.MetaPathFinder):
    def find_spec(self, name, path=None, target=None):
        if name.split(".")[0] in slow:
            raise RuntimeError(f"{name} is imported for the help")

sys.meta_path.insert(0, Refuse())
for name in names:
    sys.argv[1:] = ["--help"]
    with contextlib.redirect_stdout(io.StringIO()) as said:
        try:
            runpy.run_module(name, run_name="__main__")
        except SystemExit as end:
            assert not end.code, f"{name}: {end.code}"
        except RuntimeError as error:
            sys.exit(f"{name}: {error}")
    assert len(said.getvalue()) > 40, f"{name} has no help"
"""


def test_help_imports_nothing_that_takes_seconds() -> None:
    """One process asks all of them, so what one imports is no excuse for the next: it is refused, not counted."""
    words = ["-W", "ignore", "-c", ALL, " ".join(SLOW), " ".join(scripts(ROOT))]
    done = subprocess.run([sys.executable, *words], cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize(
    ("words", "said"),
    [
        ("commands.predict ssd3000 photo.jpg", "there is no trained method 'ssd3000'"),
        ("commands.predict ssd300", "there is no photo to look at"),
        ("commands.export ssd3000", "there is no trained method 'ssd3000'"),
        ("commands.model_card ssd3000", "there is no trained method 'ssd3000'"),
        ("stages.finetune --image x", "the following arguments are required"),
    ],
)
def test_a_wrong_word_is_refused_without_torch(words: str, said: str, tmp_path: Path) -> None:
    (tmp_path / "torch").mkdir()
    (tmp_path / "torch/__init__.py").write_text("raise RuntimeError('torch is imported')")
    command = [sys.executable, "-m", *words.split()]
    environment = {"PYTHONPATH": str(tmp_path), "PATH": ""}
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, env=environment)
    assert done.returncode
    assert said in done.stderr
