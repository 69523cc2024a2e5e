"""A checkout's files, with tiny untrained models in the place of trained ones."""

from pathlib import Path

import pytest
from ruamel.yaml import YAML

from tests.trained import content, scenes, write_models


@pytest.fixture(scope="session")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """params.yaml, models/ and data/prepared/voc.zip."""
    root = tmp_path_factory.mktemp("checkout")
    YAML().dump(content(), root / "params.yaml")
    write_models(root / "models")
    (root / "data/prepared").mkdir(parents=True)
    scenes(root / "data/prepared/voc.zip")
    return root


@pytest.fixture
def checkout(made: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The folder, which is the working directory too."""
    monkeypatch.chdir(made)
    monkeypatch.setenv("DEVICE", "cpu")
    return made
