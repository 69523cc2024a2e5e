"""The parameters of the GPU benchmark: those of the profile voc2007, on the photos of a file, with fewer steps."""

from collections.abc import Mapping
from copy import deepcopy
from pathlib import Path
from typing import Any

from pydantic import BaseModel
from ruamel.yaml import YAML

from src.errors import InputError

ROOT = Path(__file__).resolve().parents[1]
PROFILE = "voc2007"
SIDE = 300  # pixels of SSD's input, from which the other sizes follow
SMALLEST_WARP = 63
CLASSIFIER_SIDE, CLASSIFIER_BATCH = 224, 64  # the tutorials', from the comments in params.yaml
FILES = {"finetune": "alexnet", "ssd300": "vgg16", "rpn": "vgg16"}  # start of the name of each network's weights
DETECTORS = ("ssd300", "rpn")


class Options(BaseModel):
    """The options of the command that decide what is measured."""

    photos: Path  # a tar, a zip or a folder in the VOC layout
    weights: Path  # a folder with state dicts of torchvision's alexnet and vgg16
    steps: int = 60  # measured steps of each training, after as many of warm-up
    long: int = 2000  # steps of the longer trainings
    images: int | None = None  # photos per split, None: all
    size: int = SIDE  # pixels of SSD's input; all other inputs shrink with it
    batch: int | None = None  # largest batch, None: the profile's
    limits: float = 1.0  # factor of the parts' time limits


def parameters(options: Options) -> dict[str, Any]:
    """Return the content of params.yaml for the benchmark; missing weights are an `InputError`."""
    yaml = YAML(typ="safe")
    base = yaml.load((ROOT / "params.yaml").read_text())
    profile = yaml.load((ROOT / "profiles" / f"{PROFILE}.yaml").read_text())
    content = merged(merged(base, profile), {"profile": PROFILE})
    content["data"]["voc"] |= {"source": "local", "path": str(options.photos), "limit": options.images}
    content["data"]["gesture"]["sample"] |= {"per_class": 20}
    for name, start in FILES.items():
        section_of(content, name)["weights"] = str(weights_file(options.weights, start))
    _shrink(content, options.size / SIDE)
    for section in content["classifiers"].values():
        section["model"]["width"] = 1.0
        section["train"]["batch_size"] = CLASSIFIER_BATCH
    for section in trainers(content).values():
        own = section["train"]
        size = own.get("batch_size", content["train"]["batch_size"])
        own["batch_size"] = min(size, options.batch or size)
    return content


def merged(base: Mapping[str, Any], changes: Mapping[str, Any]) -> dict[str, Any]:
    """Return nested mappings with changes; whatever is no mapping is replaced.

    >>> merged({"a": {"b": 1, "c": [2]}}, {"a": {"c": [3]}})
    {'a': {'b': 1, 'c': [3]}}
    """
    result = deepcopy(dict(base))
    for key, value in changes.items():
        both = isinstance(value, Mapping) and isinstance(result.get(key), Mapping)
        result[key] = merged(result[key], value) if both else deepcopy(value)
    return result


def trainers(content: Mapping[str, Any]) -> dict[str, Any]:
    """Return the section of each trainer by its name."""
    return {"finetune": content["finetune"], **content["detectors"], **content["classifiers"]}


def section_of(content: Mapping[str, Any], name: str) -> dict[str, Any]:
    """Return the section of a trainer."""
    section: dict[str, Any] = trainers(content)[name]
    return section


def weights_file(folder: Path, start: str) -> Path:
    """Return the one file whose name begins with `start`; none or several are an `InputError`."""
    found = sorted(path for path in folder.glob(f"{start}*") if path.suffix in (".pth", ".pt", ".safetensors"))
    if len(found) != 1:
        names = ", ".join(path.name for path in found) or "none"
        raise InputError(f"{folder} must hold one file {start}*.pth with torchvision's state dict, and has {names}")
    return found[0].resolve()


def for_steps(train: Mapping[str, Any], steps: int) -> dict[str, Any]:
    """Return the keys of `train` that scale a training to a number of steps, with its milestones.

    >>> for_steps({"epochs": 60, "lr_milestones": [40, 50]}, 600)
    {'epochs': 60, 'batches_per_epoch': 10, 'lr_milestones': [40, 50]}
    >>> for_steps({"epochs": 60, "lr_milestones": [40, 50]}, 6)
    {'epochs': 6, 'batches_per_epoch': 1, 'lr_milestones': [4, 5]}
    """
    epochs = min(train["epochs"], steps)
    scaled = [max(1, round(milestone * epochs / train["epochs"])) for milestone in train.get("lr_milestones", [])]
    return {"epochs": epochs, "batches_per_epoch": max(1, steps // epochs), "lr_milestones": scaled}


def _shrink(content: dict[str, Any], factor: float) -> None:
    """Shrink all inputs, and the anchors with them, so that a rehearsal on a CPU takes minutes."""
    for section in content["classifiers"].values():
        section["input"]["size"] = [max(32, round(CLASSIFIER_SIDE * factor))] * 2
    if factor == 1:
        return
    for name in ("size", "context"):
        content["warp"][name] = round(content["warp"][name] * factor)
    content["warp"]["size"] = max(SMALLEST_WARP, content["warp"]["size"])
    ssd, rpn = (content["detectors"][name]["model"] for name in DETECTORS)
    ssd |= {"size": round(ssd["size"] * factor), "strides": None}
    extras = _extra_maps(-(-ssd["size"] // 16))
    ssd |= {"extra_channels": ssd["extra_channels"][:extras], "aspect_ratios": ssd["aspect_ratios"][: 2 + extras]}
    rpn |= {name: round(rpn[name] * factor) for name in ("size", "longest")}
    rpn["scales"] = [scale * factor for scale in rpn["scales"]]


def _extra_maps(cells: int) -> int:
    """Return the number of SSD's extra maps until one has a single cell, after a map with `cells` per side.

    In bfloat16 on a CPU, torch 2.15 returns uninitialised memory as the gradient of a convolution on a single cell.

    >>> _extra_maps(19), _extra_maps(6)
    (4, 2)
    """
    count = 0
    while cells > 1:
        cells, count = cells - 2 if cells in (3, 5) else -(-cells // 2), count + 1
    return count
