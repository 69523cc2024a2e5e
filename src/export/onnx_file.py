"""ONNX, .onnx: for ONNX Runtime, OpenCV, and most else that runs networks."""

import json
from collections.abc import Callable, Mapping
from typing import Any, cast

import numpy as np
import onnxruntime
import torch
from torch.export import ExportedProgram

from src.export.graph import BATCH, INPUT

SUFFIX = ".onnx"
OPSET = 18  # the exporter's own; another one would be reached by a conversion behind it


def content(program: ExportedProgram, outputs: tuple[str, ...], about: Mapping[str, Any]) -> bytes:
    """The file's bytes; each key of `about` is one of `metadata_props`, its value as JSON."""
    made = torch.onnx.export(
        program,
        input_names=[INPUT],
        output_names=list(outputs),
        opset_version=OPSET,
        dynamo=True,
        external_data=False,
        verbose=False,
    )
    model = cast(torch.onnx.ONNXProgram, made).model_proto
    _tidy(model.graph)
    for key, value in about.items():
        model.metadata_props.add(key=key, value=json.dumps(value))
    return model.SerializeToString(deterministic=True)


def _tidy(graph: Any) -> None:
    """Take out the exporter's notes on each node, paths of this machine among them, and name the batch dimension."""
    for node in graph.node:
        del node.metadata_props[:]
    for value in (*graph.input, *graph.output, *graph.value_info):
        del value.metadata_props[:]
    for value in (*graph.input, *graph.output):
        value.type.tensor_type.shape.dim[0].dim_param = BATCH
    del graph.value_info[:]  # shapes between the layers, with the batch by a name that differs from run to run


def runner(content: bytes) -> Callable[[np.ndarray], list[np.ndarray]]:
    """Images [B, 3, S, T] to the outputs, by ONNX Runtime on the CPU, of a file's bytes."""
    session = _session(content)
    return lambda images: list(session.run(None, {INPUT: images}))


def about(content: bytes) -> dict[str, Any]:
    """The description in a file's bytes."""
    found = _session(content).get_modelmeta().custom_metadata_map
    return {key: json.loads(value) for key, value in found.items()}


def _session(content: bytes) -> onnxruntime.InferenceSession:
    return onnxruntime.InferenceSession(content, providers=["CPUExecutionProvider"])
