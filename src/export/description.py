"""What an exported file says of itself: what goes in, what comes out, where it came from."""

from typing import Any

from src.classification.params import Input
from src.export.graph import BATCH, INPUT, PROBABILITIES
from src.networks.imagenet import MEAN, STD
from src.prediction.classifier import Classifier
from src.prediction.dense import Dense

RESIZE = "bilinear with antialiasing, as Pillow's; the aspect ratio is not kept"


def describe(method: Dense | Classifier, name: str, source: dict[str, Any]) -> dict[str, Any]:
    """The description, of JSON's types.

    Args:
        method: the trained method.
        name: its section of params.yaml.
        source: of the weights.

    Returns:
        `name`; `classes`, of which column k of the scores is the k-th, without background; `input`, where
        (bytes * scale - mean) / std is what the network sees; `outputs` in words; `source`; and for detectors `decode`,
        the thresholds with which the pipeline goes on.
    """
    about = {"name": name, "classes": list(method.classes), "source": source}
    if isinstance(method, Classifier):
        flip = ", the mean with those of its mirror image" if method.section.predict.flip else ""
        said = f"[{BATCH}, classes], of sum 1: of each class, of the image{flip}"
        return {**about, "input": _of_classifier(method.section.input), "outputs": {PROBABILITIES: said}}
    size = method.section.model.size
    outputs = {
        "boxes": f"[{BATCH}, boxes, 4]: x1, y1, x2, y2 in shares of the image's width and height, 0 to 1",
        "scores": f"[{BATCH}, boxes, classes], 0 to 1: of each class; non-maximum suppression has not been done",
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
