"""Export a trained network to a file that runs without this project: `python -m commands.export ssd300 --format onnx`.

NAME is a section of `detectors` or `classifiers` in params.yaml; the file is --out/NAME.onnx or --out/NAME.pt2. Its
outputs are first compared with those of PyTorch on images. If they differ, no file is written (docs/export.md).
"""

import hashlib
from collections.abc import Sequence
from pathlib import Path
from types import ModuleType
from typing import Annotated, Literal

import numpy as np

from commands import trained
from commands.trained import MODELS, RCNN, load
from src.errors import InputError
from src.files.boxed_images import BoxedImages
from src.files.labelled_images import LabelledImages
from src.files.storage import atomic
from src.files.weights import read_tensors
from src.prediction import photos
from src.splits import Splits
from stages.command import command

PREPARED = Path("data/prepared")
IMAGES = 9  # of the test split: three batches of three


class Params(trained.Params):
    """The sections that an exported file depends on, and the splits, because it is compared on the test split."""

    splits: Splits


def run(
    params: Params,
    name: Annotated[str, "a section of detectors or classifiers in params.yaml"],
    *,
    format: Annotated[Literal["onnx", "torch_export"], "onnx or torch_export [onnx]"] = "onnx",  # noqa: A002
    out: Annotated[Path, "folder of the file [exports]"] = Path("exports"),
    images: Annotated[list[Path] | None, "photos and folders to compare on [the test split]"] = None,
) -> None:
    """Write a trained network to a file, if the file's outputs on the images are those of PyTorch."""
    if name == RCNN:
        raise InputError("R-CNN is not one network, but proposals, a network and SVMs; the others can be exported")
    params.check(name)

    import torch  # here, not above: --help and a wrong name do not wait for it

    from src.export import graph, onnx_file, torch_file, verify
    from src.export.description import describe
    from src.prediction.rcnn import Rcnn

    method = load(params, name, torch.device("cpu"))
    assert not isinstance(method, Rcnn)
    pictures = given(images) if images else of_test_split(params, name)
    module: ModuleType = {"onnx": onnx_file, "torch_export": torch_file}[format]
    path = out / f"{name}{module.SUFFIX}"
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
    """Return the origin of the weights: their file, its SHA-256, and the settings of the network."""
    path = MODELS / f"{name}.safetensors"
    digest = hashlib.sha256(path.read_bytes()).hexdigest()
    return {"file": path.as_posix(), "sha256": digest, "model": read_tensors(path)[1]["model"]}


def given(paths: list[Path]) -> list[np.ndarray]:
    """Return photos, RGB [H, W, 3], of files and folders; no photo, or an unreadable one, is an `InputError`."""
    images = []
    for path in photos.find(paths).values():
        try:
            images.append(photos.decode(path.read_bytes()))
        except InputError as error:
            raise InputError(f"{path}: {error}") from None
    if not images:
        raise InputError("--images names folders without a photo")
    return images


def of_test_split(params: Params, name: str) -> list[np.ndarray]:
    """Return the first images, RGB [H, W, 3], of the prepared set's test split."""
    from src.classification.running import TEST

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
