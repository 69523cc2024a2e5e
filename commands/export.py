"""A trained network as a file that runs without this project: `python -m commands.export ssd300 --format onnx`.

NAME is a section of `detectors` or `classifiers` in params.yaml; written is --out/NAME.onnx or --out/NAME.pt2. It is
run beside PyTorch on images first, and there is no file where the two differ (docs/export.md).
"""

import hashlib
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Literal

import numpy as np
import torch

from commands import trained
from commands.trained import MODELS, RCNN, load
from src.classification.running import TEST
from src.errors import InputError
from src.export import graph, onnx_file, torch_file, verify
from src.export.description import describe
from src.files.boxed_images import BoxedImages
from src.files.labelled_images import LabelledImages
from src.files.storage import atomic
from src.files.weights import read_tensors
from src.prediction import photos
from src.prediction.rcnn import Rcnn
from src.splits import Splits
from stages.command import command

FORMATS = {"onnx": onnx_file, "torch_export": torch_file}
PREPARED = Path("data/prepared")
IMAGES = 9  # of the test split: three batches of three


class Params(trained.Params):
    """What an exported file depends on in params.yaml, and the split that it is compared on."""

    splits: Splits


def run(
    params: Params,
    name: Annotated[str, "a section of detectors or classifiers in params.yaml"],
    *,
    format: Annotated[Literal["onnx", "torch_export"], "onnx or torch_export [onnx]"] = "onnx",  # noqa: A002
    out: Annotated[Path, "folder of the file [exports]"] = Path("exports"),
    images: Annotated[list[Path] | None, "photos and folders to compare on [the test split]"] = None,
) -> None:
    """Write the file of a trained network, once its outputs are PyTorch's on the images."""
    if name == RCNN:
        raise InputError("R-CNN is not one network, but proposals, a network and planes; the others can be exported")
    method = load(params, name, torch.device("cpu"))
    assert not isinstance(method, Rcnn)
    pictures = given(images) if images else of_test_split(params, name)
    module, path = FORMATS[format], out / f"{name}{FORMATS[format].SUFFIX}"
    network, size = graph.graph_of(method)
    content = module.content(graph.program(network, size), network.outputs, describe(method, name, source(name)))
    inputs = torch.stack([method.input(picture) for picture in pictures])
    worst = verify.check(network, module.runner(content), inputs)
    with atomic(path) as temporary:
        temporary.write_bytes(content)
    print(
        f"{path}: {len(content) / 1e6:.1f} MB; differs from PyTorch by {worst:.1g} at most on {len(inputs)} images "
        f"(allowed: {verify.TOLERANCE:g})"
    )


def source(name: str) -> dict[str, object]:
    """Where the weights are from: their file, its SHA-256, and the settings of the network in it."""
    path = MODELS / f"{name}.safetensors"
    digest = hashlib.sha256(path.read_bytes()).hexdigest()
    return {"file": path.as_posix(), "sha256": digest, "model": read_tensors(path)[1]["model"]}


def given(paths: list[Path]) -> list[np.ndarray]:
    """Photos, RGB [H, W, 3], of files and folders; none, or one that does not decode, is an `InputError`."""
    found = []
    for path in photos.find(paths).values():
        try:
            found.append(photos.decode(path.read_bytes()))
        except InputError as error:
            raise InputError(f"{path}: {error}") from None
    if not found:
        raise InputError("--images names folders without a photo in them")
    return found


def of_test_split(params: Params, name: str) -> list[np.ndarray]:
    """The first images, RGB [H, W, 3], of the prepared set's test split."""
    detector = name in params.detectors
    data, split = ("voc", params.splits.test) if detector else (params.classifiers[name]["data"], TEST)
    path = PREPARED / f"{data}.zip"
    if not path.exists():
        raise InputError(f"{path} is missing: run `dvc repro prepare@{data}`, or name photos with --images")
    images = BoxedImages(path) if detector else LabelledImages(path)
    return [images.image(image_id) for image_id in images.ids(split)[:IMAGES]]


def main(words: Sequence[str] | None = None) -> None:
    """Run the command line."""
    command(run, words)


if __name__ == "__main__":
    main()
