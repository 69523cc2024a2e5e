"""Edits while a stage runs, which DVC would not see."""

import importlib
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from src.errors import InputError
from src.params import Sections, Seed
from stages.command import command
from stages.edited import Before


class Params(Sections):
    seed: Seed


@pytest.fixture
def root(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A checkout with a module that this process imports, and one that it does not."""
    (tmp_path / "src").mkdir()
    for name in ("imported", "other"):
        (tmp_path / f"src/edited_{name}.py").write_text("VALUE = 1\n")
    (tmp_path / "params.yaml").write_text("seed: 7\nother: 1\n")
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(tmp_path / "src")
    importlib.import_module("edited_imported")
    yield tmp_path
    del sys.modules["edited_imported"]


def test_an_edited_module_is_named_with_both_ways_on(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DVC_STAGE", "detect@ssd300")
    before = Before("params.yaml", None, root)
    (root / "src/edited_imported.py").write_text("VALUE = 2\n")
    with pytest.raises(
        InputError,
        match=r"^src/edited_imported\.py changed while this stage ran, .* run the stage again, or undo the edit and "
        "run `dvc commit detect@ssd300`",
    ):
        before.compare()
    (root / "src/edited_imported.py").write_text("VALUE = 1\n")
    before.compare()
    (root / "src/edited_imported.py").unlink()
    with pytest.raises(InputError, match=r"^src/edited_imported\.py changed"):
        before.compare()


def test_what_the_stage_does_not_use_may_be_edited(root: Path) -> None:
    before = Before("params.yaml", Params(seed=7), root)
    (root / "src/edited_other.py").write_text("VALUE = 2\n")
    (root / "src/edited_new.py").write_text("VALUE = 2\n")
    (root / "params.yaml").write_text("seed: 7\nother: 2  # of another stage\n")
    before.compare()


def editing(params: Params, *, out: Path) -> None:
    out.write_text(str(params.seed))
    Path("params.yaml").write_text("seed: 8\n")


def test_a_stage_whose_parameters_are_edited_fails_and_keeps_its_outputs(
    root: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit, match=r"^test_edited: params\.yaml changed while this stage ran"):
        command(editing, ["--out", "out"])
    assert (root / "out").read_text() == "7"
