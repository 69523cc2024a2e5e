"""The whole pipeline, run twice from empty caches on this machine: the same bytes for any environment."""

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from ruamel.yaml import YAML

from stages import arithmetic
from tests.repository import Repository, small

FEW = {"JOBS": "1", "WORKERS": "0", "OMP_NUM_THREADS": "1"}
MANY = {"JOBS": "2", "WORKERS": "2", "OMP_NUM_THREADS": "4", "ATEN_CPU_CAPABILITY": "default", "MKL_CBWR": "AVX2"}


@pytest.mark.slow
@pytest.mark.skipif(not arithmetic.can_pin(), reason="this processor has no AVX2, so nothing can be pinned")
def test_a_rerun_in_another_folder_with_other_processes_threads_and_instructions_is_the_same_bytes(
    tmp_path: Path,
) -> None:
    """Each folder has its own DVC cache, which is empty at first. Both run at once, as most of a run is starts."""
    with ThreadPoolExecutor() as both:
        first, second = both.map(run, (tmp_path / "few", tmp_path / "many"), (FEW, MANY))
    assert hashes(first.path) == hashes(second.path)  # by stage and file, to show the first difference
    assert (first.path / "dvc.lock").read_bytes() == (second.path / "dvc.lock").read_bytes()


def run(path: Path, variables: dict[str, str]) -> Repository:
    """Make a small copy of this repository, and run the pipeline there, pinned, with environment variables."""
    repository = small(path)
    repository("dvc", "repro", **{**variables, "ARITHMETIC": arithmetic.PINNED})
    return repository


def hashes(root: Path) -> dict[tuple[str, str], str]:
    """Return the MD5 of every output in dvc.lock, by stage and path."""
    stages = YAML(typ="safe").load((root / "dvc.lock").read_text())["stages"]
    return {(name, out["path"]): out["md5"] for name, stage in stages.items() for out in stage["outs"]}
