"""The inputs of the report: the outputs that the pipeline declares, and no other file in their folders."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path, PurePosixPath
from typing import Any

import pandas as pd

from src.boxes.target import Target
from src.errors import InputError
from src.evaluation.costs import costs
from src.evaluation.mistakes import Finding, findings
from src.files.boxed_images import BoxedImages
from src.files.records import Record, read_records
from src.report.stages import Stage

TITLES = {  # for readers; any other method has the name of its file
    "rcnn": "R-CNN",
    "ssd300": "SSD",
    "fast_rcnn": "Fast R-CNN",
    "faster_rcnn": "Faster R-CNN",
    "rpn": "RPN",
    "rpn_untrained": "RPN before training",
    "finetune": "R-CNN's network",
    "mobilenet_v3": "MobileNetV3",
    "resnet50": "ResNet-50",
}
UNTRAINED = "_untrained"  # suffix for the state of a method before its training, a baseline
RANDOM_ORDER = ("selective_search",)  # its proposals have no scores, and no ranks unless `ranked` is set
MAIN = "detections.npz"  # in a detector's folder; the other files there are variants to compare with


def title(name: str) -> str:
    """Return a method's name for readers.

    >>> title("ssd300"), title("selective_search")
    ('SSD', 'selective search')
    """
    return TITLES.get(name, name.replace("_", " "))


@dataclass(frozen=True)
class Inputs:
    """Everything that a section may read."""

    root: Path  # the folder of dvc.yaml
    out: Path  # the page itself; one from an earlier run may exist, but is no input
    stages: list[Stage]
    images: BoxedImages
    test_ids: list[str]
    profile: str
    classifiers: Mapping[str, Any]  # the section `classifiers` of the parameters
    results: Path  # docs/results
    times: Path | None  # table of stage and seconds; None if the page must be the same each time
    unranked: tuple[str, ...] = RANDOM_ORDER  # methods whose proposals are in random order
    comparison: Path | None = None  # of two revisions, by `python -m commands.compare --page`; None likewise

    def named(self, pattern: str) -> dict[str, Path]:
        """Return the outputs that match a pattern with one `*`, by the text in place of the star, in their order.

        The pattern is matched from the right: `named("plots/pr_*.csv")` has the precision-recall curves of every
        detector. Without a match the dict is empty; an output that does not exist is an `InputError`.
        """
        before, after = PurePosixPath(pattern).name.split("*")
        outputs = [PurePosixPath(out) for stage in self.stages for out in stage.outs]
        paths = {path.name[len(before) : len(path.name) - len(after)]: path for path in outputs if path.match(pattern)}
        return {name: self.existing(str(path)) for name, path in paths.items()}

    def existing(self, out: str) -> Path:
        """Return the path of an output; an `InputError` if it does not exist."""
        if not (path := self.root / out).exists():
            raise InputError(f"{path} is missing, and a stage writes it: run `dvc repro` without naming a stage")
        return path

    def figures(self, pattern: str) -> dict[str, dict[str, Any]]:
        """Read the JSON outputs that match a pattern, by the names of `named`."""
        return {name: json.loads(path.read_text()) for name, path in self.named(pattern).items()}

    def tables(self, pattern: str) -> dict[str, pd.DataFrame]:
        """Read the CSV outputs that match a pattern, by the names of `named`; classes stay text, even "7"."""
        text = {"class": str, "actual": str, "predicted": str, "path": str, "label": str}
        return {
            name: pd.read_csv(path, dtype=text, keep_default_na=False, na_values=[""])
            for name, path in self.named(pattern).items()
        }

    @cached_property
    def targets(self) -> dict[str, Target]:
        """The objects of the test images."""
        return {image_id: self.images.target(image_id) for image_id in self.test_ids}

    @cached_property
    def detections(self) -> dict[str, dict[str, Record]]:
        """Detections on the test images, by detector."""
        return {name: read_records(folder / MAIN, self.test_ids) for name, folder in self.named("detections/*").items()}

    @cached_property
    def findings(self) -> dict[str, list[Finding]]:
        """The outcomes of the detections, by detector."""
        classes = self.images.classes
        return {name: findings(records, self.targets, classes) for name, records in self.detections.items()}

    @cached_property
    def costs(self) -> dict[str, dict[str, float]]:
        """The mAP that each kind of mistake costs, by detector."""
        classes = self.images.classes
        return {name: costs(records, self.targets, classes) for name, records in self.detections.items()}

    @cached_property
    def proposals(self) -> dict[str, dict[str, Record]]:
        """Proposals on the test images, by method, without the states of methods before their training."""
        return {
            name: read_records(path, self.test_ids)
            for name, path in self.named("proposals/*.npz").items()
            if not name.endswith(UNTRAINED)
        }
