"""A trained network as a file that runs without this project: `python -m commands.export ssd300 --format onnx`.

NAME is a section of `detectors` or `classifiers` in params.yaml; written is --out/NAME.onnx or --out/NAME.pt2. It is
run beside PyTorch on images first, and there is no file where the two differ (docs/export.md).
"""

import argparse
import hashlib
import sys
from pathlib import Path

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
from src.params import read_params
from src.prediction import photos
from src.prediction.classifier import Classifier
from src.prediction.dense import Dense
from src.prediction.rcnn import Rcnn
from src.splits import Splits
from stages.command import PARAMS

FORMATS = {"onnx": onnx_file, "torch_export": torch_file}
PREPARED = Path("data/prepared")
IMAGES = 9  # of the test split: three batches of three


class Params(trained.Params):
    """What an exported file depends on in params.yaml, and the split that it is compared on."""

    splits: Splits


def arguments() -> argparse.ArgumentParser:
    """The command line."""
    parser = argparse.ArgumentParser(
        prog="python -m commands.export",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    parser.add_argument("name", help="a section of detectors or classifiers in params.yaml")
    parser.add_argument("--format", choices=FORMATS, default="onnx", help="[onnx]")
    parser.add_argument("--out", type=Path, default=Path("exports"), help="folder of the file [exports]")
    parser.add_argument("--images", nargs="+", type=Path, help="photos and folders to compare on [the test split]")
    return parser


def main(words: list[str] | None = None) -> None:
    """Export what the command line asks for; an `InputError` ends it with one sentence."""
    options = arguments().parse_args(words)
    try:
        params = read_params(PARAMS, Params)
        if options.name == RCNN:
            raise InputError(
                "R-CNN is not one network, but proposals, a network and planes; the others can be exported"
            )
        method = load(params, options.name, torch.device("cpu"))
        assert not isinstance(method, Rcnn)
        images = given(options.images) if options.images else of_test_split(params, options.name)
        run(method, options.name, options.format, images, options.out)
    except InputError as error:
        sys.exit(f"export: {error}")


def run(method: Dense | Classifier, name: str, kind: str, images: list[np.ndarray], out: Path) -> None:
    """Write the file, once its outputs are PyTorch's on the images [H, W, 3], which are at least one."""
    chosen, path = FORMATS[kind], out / f"{name}{FORMATS[kind].SUFFIX}"
    network, size = graph.graph_of(method)
    content = chosen.content(graph.program(network, size), network.outputs, describe(method, name, source(name)))
    seen = torch.stack([verify.ready(method, image) for image in images])
    worst = verify.check(network, chosen.runner(content), seen)
    with atomic(path) as temporary:
        temporary.write_bytes(content)
    print(
        f"{path}: {len(content) / 1e6:.1f} MB; differs from PyTorch by {worst:.1g} at most on {len(images)} images "
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


if __name__ == "__main__":
    main()
