"""The description inside an exported file: its input, its outputs, and the origin of its weights."""

from typing import Any

from src.classification.params import Input
from src.export.graph import BATCH, INPUT, PROBABILITIES
from src.networks.imagenet import MEAN, STD
from src.prediction.classifier import Classifier
from src.prediction.dense import Dense

RESIZE = "bilinear with antialiasing, as Pillow's; the aspect ratio is not kept"


def describe(method: Dense | Classifier, name: str, source: dict[str, Any]) -> dict[str, Any]:
    """Describe an exported method, in JSON's types.

    Args:
        method: the trained method.
        name: its section of params.yaml.
        source: origin of the weights.

    Returns:
        `name`; `classes` without background, in the order of the scores' columns; `input`, with which the network's
        input is (bytes * scale - mean) / std; `outputs` in words; `source`; and for detectors `decode`, the pipeline's
        thresholds.
    """
    about = {"name": name, "classes": list(method.classes), "source": source}
    if isinstance(method, Classifier):
        flip = ", as the mean over the image and its mirror image" if method.section.predict.flip else ""
        text = f"[{BATCH}, classes]: the probability of each class, of sum 1{flip}"
        return {**about, "input": _of_classifier(method.section.input), "outputs": {PROBABILITIES: text}}
    size = method.section.model.size
    outputs = {
        "boxes": f"[{BATCH}, boxes, 4]: x1, y1, x2, y2 as shares of the image's width and height, 0 to 1",
        "scores": f"[{BATCH}, boxes, classes]: the score of each class, 0 to 1, before non-maximum suppression",
    }
    decode = method.section.decode.model_dump()
    return {**about, "input": _input([size, size], MEAN, STD), "outputs": outputs, "decode": decode}


def _of_classifier(inputs: Input) -> dict[str, Any]:
    return _input(inputs.size, inputs.mean or MEAN, inputs.std or STD)


def _input(size: list[int], mean: Any, std: Any) -> dict[str, Any]:
    return {
        "name": INPUT,
        "shape": [BATCH, 3, *size],
        "size": size,  # height, width
        "resize": RESIZE,
        "colours": "RGB",
        "scale": 1 / 255,
        "mean": list(mean),
        "std": list(std),
    }
