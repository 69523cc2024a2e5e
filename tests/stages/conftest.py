"""Fixtures of the tests of stages, most of them from the tests of other folders."""

from pathlib import Path

import pytest

from src.files.labelled_images import LabelledImages
from src.files.weights import write_tensors
from tests.labelled import digits
from tests.prediction.conftest import checkout, made
from tests.rcnn.conftest import images, proposals, svm_rules

__all__ = ["checkout", "images", "made", "proposals", "svm_rules"]


@pytest.fixture(scope="session")
def labelled_images(tmp_path_factory: pytest.TempPathFactory) -> LabelledImages:
    return digits(tmp_path_factory.mktemp("labelled") / "digits.zip")


@pytest.fixture
def no_weights(tmp_path: Path) -> Path:
    """The starting weights of a network that starts at random."""
    write_tensors(tmp_path / "no_weights.safetensors", {}, {"source": "none"})
    return tmp_path / "no_weights.safetensors"
