"""Tests of both formats: their outputs for any number of images, and their descriptions."""

from collections.abc import Iterator
from pathlib import Path
from types import ModuleType
from typing import Any, NamedTuple

import cv2
import numpy as np
import onnx
import pytest
import torch
from torch import nn

from commands.write_deps import ROOT
from src.export import onnx_file, torch_file
from src.export.description import describe
from src.export.graph import INPUT, Graph, Probabilities, graph_of, program
from src.export.verify import TOLERANCE, check, difference
from tests.export.methods import method

FORMATS = [onnx_file, torch_file]


class Exported(NamedTuple):
    """A network and its file in each format."""

    graph: Graph
    size: tuple[int, int]
    about: dict[str, Any]
    contents: dict[ModuleType, bytes]


# The exporters take about ten seconds per deep network. `small` tests the other code of the classifiers without one.
DEEP = [pytest.param(name, marks=pytest.mark.slow) for name in ("mobilenet_v3", "resnet50")]


@pytest.fixture(scope="module", params=["ssd300", "rpn", "small", *DEEP])
def exported(request: pytest.FixtureRequest, made: Path) -> Iterator[Exported]:
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(made)
        found = method("resnet50" if request.param == "small" else request.param)
        if request.param == "small":
            found.net = small(len(found.classes))
        about = describe(found, request.param, {"file": "models/x.safetensors", "sha256": "0"})
        graph, size = graph_of(found)
        traced = program(graph, size)
        contents = {kind: kind.content(traced, graph.outputs, about) for kind in FORMATS}
        yield Exported(graph, size, about, contents)


def small(num_classes: int) -> nn.Module:
    """Build a small classifier network with every type of layer that changes in eval mode."""
    torch.manual_seed(0)
    layers = (
        nn.Conv2d(3, 8, 3),
        nn.BatchNorm2d(8),
        nn.Hardswish(),
        nn.AdaptiveAvgPool2d(1),
        nn.Flatten(),
        nn.Dropout(0.5),
    )
    return nn.Sequential(*layers, nn.Linear(8, num_classes)).eval()


@pytest.mark.parametrize("kind", FORMATS)
def test_the_file_says_what_pytorch_says_for_any_number_of_images(exported: Exported, kind: ModuleType) -> None:
    run = kind.runner(exported.contents[kind])
    images = torch.randn(5, 3, *exported.size, generator=torch.Generator().manual_seed(0))
    for count in (1, 3, 5):
        assert difference(exported.graph, run, images[:count]) < TOLERANCE
    assert check(exported.graph, run, images) < TOLERANCE


@pytest.mark.parametrize("kind", FORMATS)
def test_the_file_says_what_goes_in_and_comes_out(exported: Exported, kind: ModuleType) -> None:
    about = kind.about(exported.contents[kind])
    assert about == exported.about
    assert about["input"]["size"] == list(exported.size)
    assert set(about["outputs"]) == set(exported.graph.outputs)
    assert about["classes"] in (["circle", "square"], ["object"], [str(number) for number in range(10)])


def test_onnx_finds_nothing_wrong_and_names_what_is_dynamic(exported: Exported) -> None:
    model = onnx.load_from_string(exported.contents[onnx_file])
    onnx.checker.check_model(model, full_check=True)
    for value in (*model.graph.input, *model.graph.output):
        batch, *rest = value.type.tensor_type.shape.dim
        assert batch.dim_param == "batch"
        assert all(one.dim_value > 0 for one in rest)


def test_opencv_reads_the_onnx_file_too(exported: Exported) -> None:
    net = cv2.dnn.readNetFromONNX(np.frombuffer(exported.contents[onnx_file], np.uint8))

    def run(images: np.ndarray) -> list[np.ndarray]:
        net.setInput(images, INPUT)
        return list(net.forward(list(exported.graph.outputs)))

    images = torch.randn(3, 3, *exported.size, generator=torch.Generator().manual_seed(0))
    assert check(exported.graph, run, images) < TOLERANCE


@pytest.mark.parametrize("kind", FORMATS)
def test_no_path_of_this_machine_is_in_the_file(exported: Exported, kind: ModuleType) -> None:
    assert str(ROOT).encode() not in exported.contents[kind]
    assert b"site-packages" not in exported.contents[kind]


def test_onnx_is_the_same_bytes_each_time() -> None:
    graph = Probabilities(small(3), flip=True)
    first, again = (onnx_file.content(program(graph, (16, 16)), graph.outputs, {"a": 1, "b": 2}) for _ in range(2))
    assert first == again
