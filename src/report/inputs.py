"""What the report is made of: the outputs that the pipeline declares, and nothing else that lies in their folders."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path, PurePosixPath
from typing import Any

import pandas as pd

from src.boxes.target import Target
from src.errors import InputError
from src.evaluation.mistakes import Finding, findings
from src.files.boxed_images import BoxedImages
from src.files.records import Record, read_records
from src.report.stages import Stage

TITLES = {  # names that need more than their file's; any other method is called as its file is
    "rcnn": "R-CNN",
    "ssd300": "SSD",
    "rpn": "RPN",
    "rpn_untrained": "RPN before training",
    "finetune": "R-CNN's network",
    "mobilenet_v3": "MobileNetV3",
    "resnet50": "ResNet-50",
}
UNTRAINED = "_untrained"  # ends the name of a method's state before its training, a baseline
MAIN = "detections.npz"  # of a detector's folder; others there are variants to compare with


def title(name: str) -> str:
    """A method's name for the reader.

    >>> title("ssd300"), title("selective_search")
    ('SSD', 'selective search')
    """
    return TITLES.get(name, name.replace("_", " "))


@dataclass(frozen=True)
class Inputs:
    """Everything that a section may read."""

    root: Path  # the folder of dvc.yaml
    out: Path  # the page itself, which is there from the last time, and no input
    stages: list[Stage]
    images: BoxedImages
    test_ids: list[str]
    profile: str
    classifiers: Mapping[str, Any]  # the section of the parameters
    results: Path  # docs/results
    times: Path | None  # stage, seconds; None where the page is to be the same each time

    def named(self, pattern: str) -> dict[str, Path]:
        """Outputs that a pattern with one `*` fits, from the right, by what stands for the star; in their order.

        `named("plots/pr_*.csv")` has the precision-recall curves of every detector. None at all is an empty dict; one
        that is not there is an `InputError`.
        """
        before, after = PurePosixPath(pattern).name.split("*")
        fitting = [PurePosixPath(out) for stage in self.stages for out in stage.outs]
        paths = {path.name[len(before) : len(path.name) - len(after)]: path for path in fitting if path.match(pattern)}
        return {name: self.existing(str(path)) for name, path in paths.items()}

    def existing(self, out: str) -> Path:
        """The path of an output, which must be there."""
        if not (path := self.root / out).exists():
            raise InputError(f"{path} is missing, which a stage writes: run `dvc repro` without naming a stage")
        return path

    def figures(self, pattern: str) -> dict[str, dict[str, Any]]:
        """The content of JSON outputs, as `named`."""
        return {name: json.loads(path.read_text()) for name, path in self.named(pattern).items()}

    def tables(self, pattern: str) -> dict[str, pd.DataFrame]:
        """The content of CSV outputs, as `named`; classes stay text, whatever they look like."""
        text = {"class": str, "actual": str, "predicted": str, "path": str, "label": str}
        return {
            name: pd.read_csv(path, dtype=text, keep_default_na=False, na_values=[""])
            for name, path in self.named(pattern).items()
        }

    @cached_property
    def targets(self) -> dict[str, Target]:
        """Objects of the test images."""
        return {image_id: self.images.target(image_id) for image_id in self.test_ids}

    @cached_property
    def detections(self) -> dict[str, dict[str, Record]]:
        """Detections on the test images, by detector."""
        return {name: read_records(folder / MAIN, self.test_ids) for name, folder in self.named("detections/*").items()}

    @cached_property
    def findings(self) -> dict[str, list[Finding]]:
        """The outcomes of the detections, by detector."""
        return {name: findings(found, self.targets, self.images.classes) for name, found in self.detections.items()}

    @cached_property
    def proposals(self) -> dict[str, dict[str, Record]]:
        """Proposals on the test images, by method; a method's state before its training is none."""
        return {
            name: read_records(path, self.test_ids)
            for name, path in self.named("proposals/*.npz").items()
            if not name.endswith(UNTRAINED)
        }
