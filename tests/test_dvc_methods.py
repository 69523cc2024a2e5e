"""Methods that a user adds to the pipeline or exchanges, run by DVC in a small copy of this repository."""

import json

import numpy as np
from ruamel.yaml import YAML

from src.files.records import read_records
from tests.repository import Repository


def test_rcnn_stands_on_the_proposals_of_the_rpn_with_no_other_change(copy: Repository) -> None:
    copy.change("features.proposals", "rpn")
    copy("dvc", "repro", "extract_features")
    regions, proposals = (
        read_records(copy.path / path) for path in ("data/features/regions.npz", "data/proposals/rpn.npz")
    )
    for image_id, record in regions.items():
        np.testing.assert_array_equal(record["boxes"][~record["is_gt"]], proposals[image_id]["boxes"])


TOY = """
import torch
from torch import nn

from src.detection.augmentation import Augment
from src.params import Count, Section
from src.training.settings import TrainOverrides


class Model(Section):
    backbone: str
    size: Count


class Params(Section):
    weights: str
    new_layer_lr: float
    model: Model
    loss: dict
    augment: Augment
    train: TrainOverrides
    decode: dict


class Toy(nn.Module):
    def __init__(self):
        super().__init__()
        self.conv = nn.Conv2d(3, 5, 32, stride=32)

    def forward(self, images):
        return {"maps": self.conv(images)}


def build(num_classes, model):
    return Toy()


def loss(outputs, targets, rules):
    return {"presence": (outputs["maps"].mean() - float((targets["labels"][0] > 0).any())) ** 2}


def decode(outputs, sizes, rules):
    nothing = {"boxes": torch.zeros(0, 4), "labels": torch.zeros(0, dtype=torch.int64), "scores": torch.zeros(0)}
    return [nothing for _ in sizes]
"""


FEW = """
from typing import ClassVar

import cv2
import numpy as np

from src.files.prepared import DataSet
from src.ingest.source import Source

TASK = "labels"


class Params(Source):
    LAYOUT: ClassVar[str] = "of any kind"


def fetch(section, out, *, seed, jobs):
    (out / "sample.txt").write_text(str(seed))
    return [out / "sample.txt"]


def prepare(raw, section, jobs):
    content = cv2.imencode(".png", np.zeros((2, 2), np.uint8))[1].tobytes()
    images = {name: {"file": f"{name}.png", "label": 0} for name in ("a", "b", "c")}
    splits = {"train": ["a"], "val": ["b"], "test": ["c"]}
    return DataSet(["black"], splits, images, ((f"{name}.png", content) for name in images))
"""


TOY_CLASSIFIER = """
from torch import nn

from src.classification.params import Classifier
from src.params import Section


class Model(Section):
    name: str


class Params(Classifier):
    model: Model


def build(num_classes, model):
    return nn.Sequential(nn.Flatten(), nn.Linear(3 * 8 * 8, num_classes))
"""


def test_a_data_set_a_detector_and_a_classifier_are_one_file_and_one_section_each(copy: Repository) -> None:
    added = {"datasets/few": FEW, "detectors/toy": TOY, "classifiers/plain": TOY_CLASSIFIER}
    for name, code in added.items():
        (copy.path / f"src/{name}.py").write_text(code)
    copy.change("data.few", {"source": "sample", "path": None}, new=True)
    copy.change("detectors.toy", _detector(), new=True)
    copy.change("classifiers.plain", _classifier(copy), new=True)
    _list_detector(copy, "toy")
    output = copy("dvc", "repro", "prepare@few", "evaluate_detections@toy", "evaluate_classifier@plain", "summary")
    assert not copy.stale()  # no other stage has to run again
    assert "3 images (train 1, val 1, test 1) of 1 classes" in output
    metrics = {path.stem: json.loads(path.read_text()) for path in (copy.path / "metrics").glob("*.json")}
    assert "presence" in metrics["toy_training"]
    assert metrics["summary"]["plain.accuracy"] == metrics["plain"]["accuracy"] <= 1
    assert metrics["summary"]["toy.map_voc07"] == metrics["toy"]["map_voc07"] == 0
    assert metrics["toy"]["images"] == metrics["ssd300"]["images"]


def _list_detector(repository: Repository, name: str) -> None:
    """Edit dvc.yaml as docs/extending.md says: evaluate_detections and summary name their detectors."""
    repository("python", "-m", "commands.write_deps")
    text = (repository.path / "dvc.yaml").read_text()
    for before, added in (
        ("    foreach:\n      - rcnn\n      - ssd300\n", f"      - {name}\n"),
        ("      --detections metrics/rcnn.json metrics/ssd300.json", f" metrics/{name}.json"),
        ("      - metrics/rcnn.json\n      - metrics/ssd300.json\n", f"      - metrics/{name}.json\n"),
    ):
        assert text.count(before) == 1, before
        text = text.replace(before, before + added)
    (repository.path / "dvc.yaml").write_text(text)


def _detector() -> dict[str, object]:
    augment = {"photometric": False, "zoom_out": 0.0, "crop": False, "flip": 0.5}
    section = {"weights": "none", "new_layer_lr": 1.0, "model": {"backbone": "mobilenet_v2", "size": 64}, "loss": {}}
    return {**section, "augment": augment, "train": {"epochs": 1, "batch_size": 5}, "decode": {}}


def _classifier(repository: Repository) -> dict[str, object]:
    section = YAML(typ="safe").load((repository.path / "params.yaml").read_text())["classifiers"]["mobilenet_v3"]
    return {**section, "model": {"name": "plain"}, "input": {"size": [8, 8], "mean": None, "std": None}}
