"""The gate finds a real regression, a detector that hardly learns: five minutes, run by name, after `make repro`."""

import shutil
import subprocess
from pathlib import Path

import pytest

from commands.write_deps import ROOT
from stages import arithmetic
from tests.repository import Repository

SSD_RATE = "detectors.ssd300.train.lr"


@pytest.fixture
def clone(tmp_path: Path) -> Repository:
    """A clone of HEAD with the outputs of `make repro` in this folder."""
    if not (ROOT / "models/ssd300.safetensors").exists():
        pytest.skip("needs the outputs of `make repro` in this folder")
    repository = Repository(tmp_path / "clone")
    subprocess.run(["git", "clone", "--quiet", str(ROOT), str(repository.path)], check=True)
    shutil.copy(ROOT / "dvc.lock", repository.path)
    shutil.copytree(ROOT / "metrics", repository.path / "metrics", dirs_exist_ok=True)
    repository("dvc", "config", "--local", "cache.dir", str(ROOT / ".dvc/cache"))
    repository("dvc", "checkout", "--quiet")
    return repository


@pytest.mark.slow
def test_ssd_trained_with_a_tenth_of_the_rate_fails_the_gate(clone: Repository) -> None:
    assert "Gate: passed" in clone("python", "-m", "commands.compare", "--gate")
    clone.change(SSD_RATE, 0.0002)
    clone("dvc", "repro", "summary", ARITHMETIC=arithmetic.PINNED)
    output = clone("python", "-m", "commands.compare", "--gate", fails=True)
    assert "Worse beyond the band, or gone: ssd300.map_voc07, ssd300.map_coco." in output
    assert "Gate: FAILED, 2 of" in output
