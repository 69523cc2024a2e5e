from pathlib import Path

import numpy as np
import pytest
import torch

from src.classification.params import Input
from src.export.description import describe
from src.prediction.classifier import Classifier
from src.prediction.dense import Dense
from tests.export.methods import method


def seen(about: dict, image: np.ndarray) -> np.ndarray:
    """Prepare an image of the right size from the description alone, as a deployer does."""
    inputs = about["input"]
    assert inputs["colours"] == "RGB"
    return ((image * inputs["scale"] - inputs["mean"]) / inputs["std"]).transpose(2, 0, 1)


def noise(size: list[int]) -> np.ndarray:
    return np.random.default_rng(0).integers(0, 256, (*size, 3), np.uint8)


@pytest.mark.parametrize("name", ["ssd300", "rpn", "mobilenet_v3"])
def test_the_described_input_is_what_the_pipeline_sees(checkout: Path, name: str) -> None:
    found = method(name)
    about = describe(found, name, {})
    image = noise(about["input"]["size"])
    torch.testing.assert_close(found.input(image), torch.from_numpy(seen(about, image)).float(), atol=1e-5, rtol=0)


def test_a_classifier_with_a_mean_of_its_own_and_sides_that_differ(checkout: Path) -> None:
    found = method("resnet50")
    assert isinstance(found, Classifier)
    inputs = Input(size=[32, 48], mean=[0.1, 0.2, 0.3], std=[0.5, 0.6, 0.7])
    found.section = found.section.model_copy(update={"input": inputs})
    about = describe(found, "resnet50", {})
    assert about["input"]["shape"] == ["batch", 3, 32, 48]
    image = noise([32, 48])
    torch.testing.assert_close(found.input(image), torch.from_numpy(seen(about, image)).float(), atol=1e-5, rtol=0)
    assert "mirror" in about["outputs"]["probabilities"]
    assert "decode" not in about


def test_a_detector_says_the_thresholds_of_the_pipeline(checkout: Path) -> None:
    found = method("ssd300")
    assert isinstance(found, Dense)
    about = describe(found, "ssd300", {"file": "models/ssd300.safetensors"})
    assert about["decode"] == found.section.decode.model_dump()
    assert about["source"] == {"file": "models/ssd300.safetensors"}
