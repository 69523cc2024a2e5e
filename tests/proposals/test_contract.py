"""The contract of every file in src/proposals; it also runs over each new file."""

import importlib
import inspect
import pkgutil
from types import ModuleType

import numpy as np
import pytest

from src import proposals
from src.params import Section

METHODS = [importlib.import_module(f"src.proposals.{item.name}") for item in pkgutil.iter_modules(proposals.__path__)]
each_method = pytest.mark.parametrize("method", METHODS, ids=lambda method: method.__name__.rpartition(".")[2])


def picture(height: int, width: int) -> np.ndarray:
    blocks = np.random.default_rng(0).integers(0, 256, (4, 4, 3), np.uint8)
    tall = np.repeat(blocks, -(-height // 4), axis=0)[:height]
    return np.repeat(tall, -(-width // 4), axis=1)[:, :width]


@each_method
@pytest.mark.parametrize(("height", "width"), [(40, 60), (1, 1), (3, 200), (200, 3)])
def test_boxes_lie_in_the_image_and_are_the_same_again(method: ModuleType, height: int, width: int) -> None:
    boxes = method.propose(picture(height, width), seed=1, image_id="a")
    assert boxes.dtype == np.float32
    assert boxes.ndim == 2
    assert boxes.shape[1] == 4
    assert (boxes >= 0).all()
    assert (boxes <= [width, height, width, height]).all()
    assert (boxes[:, 2:] > boxes[:, :2]).all()
    np.testing.assert_array_equal(boxes, method.propose(picture(height, width), seed=1, image_id="a"))


@each_method
def test_a_cap_is_kept(method: ModuleType) -> None:
    every = method.propose(picture(80, 120), seed=0, image_id="a")
    capped = method.propose(picture(80, 120), seed=0, image_id="a", max_proposals=3)
    assert len(every) > 3
    np.testing.assert_array_equal(capped, every[:3])


@each_method
def test_the_section_of_the_parameters_names_options_of_the_method(method: ModuleType) -> None:
    sections = [
        item
        for _, item in inspect.getmembers(method, inspect.isclass)
        if issubclass(item, Section) and item.__module__ == method.__name__
    ]
    assert len(sections) == 1
    assert sections[0].model_fields.keys() <= inspect.signature(method.propose).parameters.keys()
