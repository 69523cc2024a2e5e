"""Every output of the pipeline is the same bytes, whatever the numbers of `WORKERS` and `JOBS`."""

from pathlib import Path

import pytest

from tests.repository import small
from tests.test_rerun import hashes

ALONE = (0, 1)
COUNTS = [(2, 2), (4, 4), (8, 1)]  # WORKERS and JOBS: each number of the one, and each of the other

Hashes = dict[tuple[str, str], str]


def run(path: Path, workers: int, jobs: int) -> Hashes:
    """Run a small pipeline from an empty cache with these numbers of processes; return the MD5 of every output."""
    repository = small(path)
    repository("dvc", "repro", WORKERS=str(workers), JOBS=str(jobs))
    return hashes(repository.path)


@pytest.fixture(scope="module")
def alone(tmp_path_factory: pytest.TempPathFactory) -> Hashes:
    return run(tmp_path_factory.mktemp("alone") / "copy", *ALONE)


@pytest.mark.slow
@pytest.mark.parametrize(("workers", "jobs"), COUNTS)
def test_no_output_depends_on_the_numbers_of_processes(workers: int, jobs: int, alone: Hashes, tmp_path: Path) -> None:
    found = run(tmp_path / "copy", workers, jobs)
    assert found.keys() == alone.keys()
    assert {name for name, md5 in found.items() if md5 != alone[name]} == set()
