"""Fixtures: the methods of the page, with tiny untrained networks; one classifier has no model."""

from pathlib import Path

import pytest

from commands.demo import Params, panels_of
from src.demo.panels import Panel
from src.params import read_params
from tests.prediction.conftest import checkout
from tests.trained import write_checkout

__all__ = ["checkout"]


@pytest.fixture(scope="session")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("checkout")
    write_checkout(root)
    (root / "models/resnet50.safetensors").unlink()
    return root


@pytest.fixture
def params(checkout: Path) -> Params:
    return read_params("params.yaml", Params)


@pytest.fixture
def panels(params: Params) -> dict[str, Panel | str]:
    return panels_of(params)
