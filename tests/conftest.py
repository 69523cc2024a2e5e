"""Fixtures that several test files share."""

from pathlib import Path

import pytest
from hypothesis import settings

# A loaded machine is slow, and a failure must be one that the next run shows again.
settings.register_profile("plain", deadline=None, derandomize=True)
settings.load_profile("plain")

ROOT = Path(__file__).parents[1]

LONGEST = "test_dvc.py"


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """The file that takes longest comes first: beside it the other process of `make test` does all others."""
    items.sort(key=lambda item: item.path.name != LONGEST)


@pytest.fixture(scope="session")
def shared_data() -> Path:
    """The folder of real data beside the repository, which a stranger's clone does not have."""
    folder = (ROOT / "../shared/data").resolve()
    if not folder.is_dir():
        pytest.skip("needs the real data in ../shared/data, which lie beside this checkout only where it is developed")
    return folder
