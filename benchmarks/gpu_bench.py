"""The folder of a GPU benchmark: its options, its inputs, and the rows of figures of the running part."""

import json
from collections.abc import Mapping
from pathlib import Path
from types import ModuleType
from typing import Any

import stages  # noqa: F401  # sets the arithmetic, so it comes before any import of torch or NumPy

# isort: split
from benchmarks.gpu_params import DETECTORS, Options, parameters
from src.params import validated
from stages import finetune, train_classifier, train_detector

CLASSIFIER_DATA = {"mobilenet_v3": "mnist", "resnet50": "gesture"}


class Bench:
    """The folder of a benchmark, its parameters, and the file that gets the figures of the running part."""

    def __init__(self, folder: Path, rows: Path) -> None:
        self.folder, self._rows = folder, rows
        self.options = Options.model_validate_json((folder / "options.json").read_text())
        self.content = parameters(self.options)
        self.images = folder / "voc.zip"
        self.proposals = folder / "proposals.npz"

    def emit(self, **figures: Any) -> None:
        """Write a row of figures at once, so that it survives whatever comes after it."""
        with self._rows.open("a") as file:
            file.write(json.dumps(figures) + "\n")

    def weights(self, name: str) -> Path:
        """Return the file of a network's starting weights."""
        return self.folder / "weights" / f"{name}.safetensors"

    def out(self, *parts: str) -> Path:
        """Return the path of an output in a folder that exists."""
        path = self.folder.joinpath(*parts)
        path.parent.mkdir(parents=True, exist_ok=True)
        return path

    def training(self, name: str, out: str) -> tuple[ModuleType, dict[str, Path | str]]:
        """Return the stage that trains a network, and its arguments."""
        files = {"out": f"{name}.safetensors", "metrics": f"{name}.json", "curve": f"{name}.csv"}
        arguments: dict[str, Path | str] = {key: self.out(out, file) for key, file in files.items()}
        arguments["weights"] = self.weights(name)
        if name == "finetune":
            return finetune, {**arguments, "images": self.images, "proposals": self.proposals}
        if name in DETECTORS:
            return train_detector, {**arguments, "images": self.images, "detector": name}
        return train_classifier, {
            **arguments,
            "images": self.folder / f"{CLASSIFIER_DATA[name]}.zip",
            "classifier": name,
        }

    def read(self, stage: ModuleType, content: Mapping[str, Any]) -> Any:
        """Return the sections that a stage reads."""
        return validated(content, stage.Params, "params.yaml: ")
