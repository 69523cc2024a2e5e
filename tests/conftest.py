"""Fixtures that several test files share."""

import os
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import settings

os.environ.setdefault("GOMP_SPINCOUNT", "0")  # the threads of two processes would take each other's core

import stages  # noqa: F401, E402  # pins the arithmetic, so it must come before any import of torch or NumPy
from tests.forked import server
from tests.repository import Repository, copied, made

# `make test` has one process per core on two cores. The stages that it starts set their own number of threads.
os.environ.update(OMP_NUM_THREADS="1", MKL_NUM_THREADS="1")

# No deadline, because a busy machine is slow; no random examples, because the next run must show a failure again.
settings.register_profile("plain", deadline=None, derandomize=True)
settings.load_profile("plain")

ROOT = Path(__file__).parents[1]

FIRST = "test_dvc.py"
MEANWHILE = ("backbones", "classifiers", "datasets", "demo", "detectors", "drawn", "export", "report")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Order the files so that both processes of `make test` are busy to the end.

    Each process takes the next file when it has finished one. The first file makes the repository in which the pipeline
    has run. Meanwhile the other process runs the files of `MEANWHILE`, which take longer. Then come the files that use
    that repository, and at the end many files that take a second or two.
    """
    waiting = {item.path for item in items if "made_repository" in getattr(item, "fixturenames", ())}

    def place(item: pytest.Item) -> int:
        if item.path.name == FIRST:
            return 0
        if item.path in waiting:
            return 2 if item.path.parent == ROOT / "tests" else 3  # the tests of the pipeline take longest
        return 1 if item.path.parent.name in MEANWHILE else 4

    items.sort(key=place)


@pytest.fixture(scope="session")
def made_repository(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Repository]:
    """A small copy of this repository in which the pipeline has run; tests may only read and copy it."""
    folder = tmp_path_factory.getbasetemp()
    with server(tmp_path_factory.mktemp("commands")) as commands:
        yield made(folder.parent if "PYTEST_XDIST_WORKER" in os.environ else folder, commands)


@pytest.fixture(scope="module")
def repository(made_repository: Repository, tmp_path_factory: pytest.TempPathFactory) -> Repository:
    """A copy of `made_repository` for all tests of a file, each of which leaves it unchanged."""
    return copied(made_repository, tmp_path_factory.mktemp("repository"))


@pytest.fixture
def copy(made_repository: Repository, tmp_path: Path) -> Repository:
    """A copy of `made_repository` for one test, which may change it."""
    return copied(made_repository, tmp_path / "repository")


@pytest.fixture(scope="session")
def shared_data() -> Path:
    """The folder of real data beside the repository; other clones do not have it."""
    folder = (ROOT / "../shared/data").resolve()
    if not folder.is_dir():
        pytest.skip("needs the real data in ../shared/data, which lie beside this checkout only where it is developed")
    return folder
