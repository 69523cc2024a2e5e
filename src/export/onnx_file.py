"""ONNX files (.onnx), for ONNX Runtime, OpenCV and most other runtimes."""

import json
from collections.abc import Callable, Mapping
from typing import Any, cast

import numpy as np
import onnxruntime
import torch
from torch.export import ExportedProgram

from src.export.graph import BATCH, INPUT

SUFFIX = ".onnx"
OPSET = 18  # the exporter's own; any other needs a conversion after the export


def content(program: ExportedProgram, outputs: tuple[str, ...], about: Mapping[str, Any]) -> bytes:
    """Return the file's bytes; each key of `about` becomes one of its `metadata_props`, with the value as JSON."""
    exported = torch.onnx.export(
        program,
        input_names=[INPUT],
        output_names=list(outputs),
        opset_version=OPSET,
        dynamo=True,
        external_data=False,
        verbose=False,
    )
    model = cast(torch.onnx.ONNXProgram, exported).model_proto
    _tidy(model.graph)
    for key, value in about.items():
        model.metadata_props.add(key=key, value=json.dumps(value))
    return model.SerializeToString(deterministic=True)


def _tidy(graph: Any) -> None:
    """Remove the exporter's notes on each node, which contain paths of this machine, and name the batch dimension."""
    for node in graph.node:
        del node.metadata_props[:]
    for value in (*graph.input, *graph.output, *graph.value_info):
        del value.metadata_props[:]
    for value in (*graph.input, *graph.output):
        value.type.tensor_type.shape.dim[0].dim_param = BATCH
    del graph.value_info[:]  # shapes between layers; the name of their batch dimension differs from run to run


def runner(content: bytes) -> Callable[[np.ndarray], list[np.ndarray]]:
    """Return a function that runs a file's bytes in ONNX Runtime on the CPU: images [B, 3, S, T] -> outputs."""
    session = _session(content)
    return lambda images: list(session.run(None, {INPUT: images}))


def about(content: bytes) -> dict[str, Any]:
    """Return the description in a file's bytes."""
    metadata = _session(content).get_modelmeta().custom_metadata_map
    return {key: json.loads(value) for key, value in metadata.items()}


def _session(content: bytes) -> onnxruntime.InferenceSession:
    return onnxruntime.InferenceSession(content, providers=["CPUExecutionProvider"])
