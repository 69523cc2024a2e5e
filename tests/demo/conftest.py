"""The page's methods, with tiny untrained networks; no classifier has been trained but one."""

from pathlib import Path

import pytest
from ruamel.yaml import YAML

from src.demo.panels import Panel
from src.params import read_params
from stages.demo import Params, panels_of
from tests.trained import content, scenes, write_models


@pytest.fixture(scope="session")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """params.yaml, models/ without resnet50's, and data/prepared/voc.zip."""
    root = tmp_path_factory.mktemp("checkout")
    YAML().dump(content(), root / "params.yaml")
    write_models(root / "models")
    (root / "models/resnet50.safetensors").unlink()
    (root / "data/prepared").mkdir(parents=True)
    scenes(root / "data/prepared/voc.zip")
    return root


@pytest.fixture
def checkout(made: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The folder, which is the working directory too."""
    monkeypatch.chdir(made)
    monkeypatch.setenv("DEVICE", "cpu")
    return made


@pytest.fixture
def params(checkout: Path) -> Params:
    return read_params("params.yaml", Params)


@pytest.fixture
def panels(params: Params) -> dict[str, Panel | str]:
    return panels_of(params)
