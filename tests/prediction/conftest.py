from pathlib import Path

import pytest

from tests.trained import write_checkout


@pytest.fixture(scope="session")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("checkout")
    write_checkout(root)
    return root


@pytest.fixture
def checkout(made: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The folder with tiny untrained models in place of trained ones; it is also the working directory."""
    monkeypatch.chdir(made)
    monkeypatch.setenv("DEVICE", "cpu")
    return made
