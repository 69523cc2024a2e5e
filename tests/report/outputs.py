"""Small made-up outputs of every stage of dvc.yaml, from which the tests build the report."""

from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pandas as pd
from ruamel.yaml import YAML

from commands.write_deps import ROOT
from src.evaluation.classification import by_class, figures
from src.evaluation.proposal_recall import Evaluate
from src.files.boxed_images import BoxedImages
from src.files.prepared import write_prepared
from src.files.records import write_records
from src.files.storage import write_csv, write_json
from src.report.stages import read_pipeline
from src.splits import Splits
from stages import evaluate_detections, evaluate_proposals, report
from tests.labelled import digits

CLASSES = ["car", "cat", "<dog>"]  # the last one must not become an element of the page
IMAGES = [f"{number:06d}" for number in range(8)]
SPLITS = Splits(finetune="train", detectors="train", validation=None, train="train", test="test")


class Outputs:
    """A folder with dvc.yaml, params.yaml and all outputs; `build` writes its report."""

    def __init__(self, root: Path, *, nothing: bool = False, **more: str) -> None:
        """With `nothing`, no method finds any box. `more` adds methods that dvc.yaml lacks, as in `detector="toy"`."""
        self.nothing = nothing
        self.root, self.rng = root, np.random.default_rng(0)
        root.mkdir(parents=True, exist_ok=True)
        self.params = {**YAML(typ="safe").load((ROOT / "params.yaml").read_text()), "profile": "made up"}
        self._declare(**more)
        self.images = self._images()
        for stage in read_pipeline(root / "dvc.yaml", root / "params.yaml"):
            self._write(stage.group, stage.name.partition("@")[2], [root / out for out in stage.outs])

    def build(self, name: str = "report/report.html", times: Path = report.NOTHING) -> Path:
        out = self.root / name
        report.run(
            report.Params(
                profile="made up",
                splits=SPLITS,
                selective_search=report.Ranking(ranked=False),
                classifiers=self.params["classifiers"],
            ),
            pipeline=self.root / "dvc.yaml",
            parameters=self.root / "params.yaml",
            images=self.root / "data/prepared/voc.zip",
            results=ROOT / "docs/results",
            out=out,
            times=times,
        )
        return out

    def _declare(self, detector: str | None = None, classifier: str | None = None) -> None:
        pipeline = YAML(typ="safe").load((ROOT / "dvc.yaml").read_text())
        if detector:
            self.params["detectors"][detector] = self.params["detectors"]["ssd300"]
            pipeline["stages"]["detect"]["foreach"][detector] = f"${{detectors.{detector}}}"
            pipeline["stages"]["evaluate_detections"]["foreach"].append(detector)
        if classifier:
            self.params["classifiers"][classifier] = self.params["classifiers"]["resnet50"]
        for name, content in (("dvc.yaml", pipeline), ("params.yaml", self.params)):
            with (self.root / name).open("w") as file:
                YAML().dump(content, file)

    def _images(self) -> BoxedImages:
        images = {name: self._image(name, number % 4) for number, name in enumerate(IMAGES)}
        contents = (
            (entry["file"], cv2.imencode(".jpg", np.full((60, 80, 3), 20 * number, np.uint8))[1].tobytes())
            for number, entry in enumerate(images.values())
        )
        path = self.root / "data/prepared/voc.zip"
        write_prepared(path, CLASSES, {"train": IMAGES[:1], "test": IMAGES[1:]}, images, contents)
        return BoxedImages(path)

    def _image(self, name: str, objects: int) -> dict[str, Any]:
        corners = self.rng.integers(0, 30, (objects, 2))
        boxes = np.concatenate([corners, corners + self.rng.integers(8, 30, (objects, 2))], axis=1)
        labels = self.rng.integers(1, len(CLASSES) + 1, objects)
        truth = {"boxes": boxes.tolist(), "labels": labels.tolist(), "difficult": [False] * objects}
        return {"file": f"{name}.jpg", "height": 60, "width": 80, **truth}

    def _write(self, group: str, item: str, outs: list[Path]) -> None:
        """Write the outputs of a stage; the evaluation stages after the detections write their own."""
        if group == "evaluate_detections":
            params = evaluate_detections.Params(splits=SPLITS)
            found = self.root / f"data/detections/{item}"
            evaluate_detections.run(params, images=self.images.path, detections=found, out=outs[0], curves=outs[1])
        elif group == "evaluate_proposals":
            params = evaluate_proposals.Params(splits=SPLITS, evaluate=Evaluate(recall_at=[10]))
            paths = dict(zip(("out", "curves", "counts"), outs, strict=True))
            found = self.root / f"data/proposals/{item}.npz"
            evaluate_proposals.run(params, images=self.images.path, proposals=found, **paths)
        elif group == "evaluate_classifier":
            self._classifier(*outs, data=self.root / f"data/prepared/{self.params['classifiers'][item]['data']}.zip")
        elif group != "report":
            for out in outs:
                self._file(out)

    def _file(self, out: Path) -> None:
        out.parent.mkdir(parents=True, exist_ok=True)
        if out == self.images.path:
            return
        if out.match("data/detections/*"):
            for name in ("detections", "untrained"):
                write_records(out / f"{name}.npz", {image_id: self._detections(image_id) for image_id in IMAGES})
        elif out.match("data/proposals/*"):
            found = {image_id: self._detections(image_id)["boxes"] for image_id in IMAGES}
            write_records(out, {image_id: {"boxes": boxes} for image_id, boxes in found.items()})
        elif out.match("data/prepared/*"):
            digits(out)
        elif out.match("metrics/rounds.csv"):
            rows = [(number, name, 5, 9, 9 // number, 3, 0, 1, 0.5) for number in (1, 2) for name in CLASSES]
            counts = ["positives", "negatives", "newly_hard", "evicted", "crowded_out", "fits"]
            names = ["round", "class", *counts, "objective"]
            write_csv(out, pd.DataFrame(rows, columns=names))
        elif out.suffix == ".csv":
            columns = {"loss": [3.0, 2.0], "val_accuracy": [None, 0.9], "val_accuracy_always_background": [0.5, 0.5]}
            write_csv(out, pd.DataFrame({"epoch": [1, 2], "lr": [0.1, 0.01], **columns}))
        elif out.suffix == ".json":
            write_json(out, {"epoch": 2})
        else:
            out.write_bytes(b"something")

    def _detections(self, image_id: str) -> dict[str, np.ndarray]:
        """The objects, moved a little and sometimes with another label, and one box without an object."""
        target = self.images.target(image_id)
        boxes = np.concatenate([target["boxes"] + self.rng.integers(-5, 6, target["boxes"].shape), [[60, 40, 79, 59]]])
        other = self.rng.integers(1, len(CLASSES) + 1, len(boxes))
        labels = np.append(target["labels"], 1)
        labels = np.where(self.rng.random(len(boxes)) < 0.3, other, labels)
        boxes = boxes.astype(np.float32)
        boxes = boxes[:0] if self.nothing else boxes
        labels = labels[: len(boxes)]
        boxes[:, 2:] = np.maximum(boxes[:, 2:], boxes[:, :2] + 1)
        return {"boxes": boxes, "labels": labels, "scores": self.rng.random(len(boxes)).astype(np.float32)}

    def _classifier(self, predictions: Path, metrics: Path, confusion: Path, *, data: Path) -> None:
        images = digits(data)
        ids = images.ids("test")
        labels = np.array([images.label(image_id) for image_id in ids])
        scores = self.rng.dirichlet(np.ones(10), len(ids)) + 0.3 * np.eye(10)[labels]
        scores /= scores.sum(1, keepdims=True)
        actual, said = (np.array(images.classes)[index] for index in (labels, scores.argmax(1)))
        found = {**figures(labels, scores), "accuracy_most_frequent": 0.1, "most_frequent": "0", "images": len(ids)}
        write_json(metrics, {**found, "by_class": by_class(labels, scores.argmax(1), images.classes)})
        write_csv(confusion, pd.DataFrame({"actual": actual, "predicted": said}))
        table = {"path": ids, "label": actual, "predicted": said, "score": scores.max(1)}
        write_csv(predictions, pd.DataFrame(table))
