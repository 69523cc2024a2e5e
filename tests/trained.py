"""Tiny untrained networks in the files of trained ones, and images for them."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import torch
from ruamel.yaml import YAML

from commands.write_deps import ROOT
from src import plugins
from src.files.boxed_images import BoxedImages
from src.files.prepared import write_prepared
from src.files.storage import write_npz
from src.files.weights import write_tensors
from src.rcnn import network

CLASSES = ["circle", "square"]
HIDDEN = 8
SIZES = {"000001": (90, 120), "000002": (120, 80)}


def scene(height: int, width: int, seed: int = 0) -> np.ndarray:
    """Return an RGB image [height, width, 3] with shapes on noise, in place of a photo."""
    rng = np.random.default_rng(seed)
    image = cv2.GaussianBlur(rng.integers(0, 256, (height, width, 3), np.uint8), (0, 0), 3)
    cv2.circle(image, (width // 3, height // 2), height // 5, (220, 40, 40), -1)
    cv2.rectangle(image, (width // 2, height // 4), (width - 8, height - 10), (30, 60, 200), -1)
    return image


def encoded(image: np.ndarray, suffix: str = ".png") -> bytes:
    """Encode an RGB image as the content of a file."""
    return cv2.imencode(suffix, cv2.cvtColor(image, cv2.COLOR_RGB2BGR))[1].tobytes()


def scenes(path: Path, sizes: Mapping[str, tuple[int, int]] = SIZES) -> BoxedImages:
    """Write a prepared set of test images, whose names are numbers, by (height, width); the first is also to train."""
    entry: dict[str, Any] = {"boxes": [[1, 1, 30, 30]], "labels": [1], "difficult": [False]}
    images = {
        name: {"file": f"{name}.png", "height": height, "width": width, **entry}
        for name, (height, width) in sizes.items()
    }
    contents = [(f"{name}.png", encoded(scene(*size, seed=int(name)))) for name, size in sizes.items()]
    write_prepared(path, CLASSES, {"train": ["000001"], "test": list(sizes)}, images, contents)
    return BoxedImages(path)


def content() -> dict[str, Any]:
    """Return params.yaml with small networks."""
    found = YAML(typ="safe").load((ROOT / "params.yaml").read_text())
    for section in found["detectors"].values():
        section["model"]["width"] = 0.25
    for section in found["classifiers"].values():
        section["model"]["width"] = 0.25
        section["input"]["size"] = [32, 32]
    found["selective_search"] |= {"max_proposals": 30, "min_side": 8}
    found["splits"] |= {"finetune": "train", "validation": None, "train": "train", "test": "test"}
    return found


def write_checkout(root: Path) -> None:
    """Write params.yaml, models/ and data/prepared/voc.zip."""
    YAML().dump(content(), root / "params.yaml")
    write_models(root / "models")
    (root / "data/prepared").mkdir(parents=True)
    scenes(root / "data/prepared/voc.zip")


def write_models(folder: Path) -> None:
    """Write the files of R-CNN, of every detector and of every classifier."""
    torch.manual_seed(0)
    params, rng = content(), np.random.default_rng(0)
    net = network.build("alexnet", len(CLASSES) + 1, pool=1, hidden=HIDDEN)
    facts = {"backbone": "alexnet", "pool": 1, "hidden": HIDDEN, "classes": CLASSES}
    write_tensors(folder / "rcnn.safetensors", net.state_dict(), facts)
    scale = np.full(HIDDEN, 0.1, np.float32)
    planes = {"weights": rng.normal(size=(2, HIDDEN)).astype(np.float32), "biases": np.zeros(2)}
    write_npz(folder / "svm.npz", {**planes, "scale": scale})
    moves = {"weights": rng.normal(size=(2, HIDDEN, 4)) * 0.1, "biases": np.zeros((2, 4))}
    write_npz(
        folder / "bbox.npz", {name: values.astype(np.float32) for name, values in {**moves, "scale": scale}.items()}
    )
    kinds = [("detector", CLASSES, 1), ("classifier", [str(number) for number in range(10)], 0)]
    for kind, classes, background in kinds:
        for name in params[f"{kind}s"]:
            module, section = plugins.section(f"{kind}s", params[f"{kind}s"], name)
            model = module.build(len(classes) + background, section.model)
            facts = {kind: name, "model": section.model.model_dump(), "classes": classes}
            write_tensors(folder / f"{name}.safetensors", model.state_dict(), facts)
