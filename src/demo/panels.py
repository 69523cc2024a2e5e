"""The panels of the page: a slow look at a photo per method, and pictures that sliders change without another look.

N boxes, C classes.
"""

import time
from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np

from src.demo.start import DENSE_ABOVE, RCNN_ABOVE
from src.files.records import Record
from src.prediction.classifier import Classifier
from src.prediction.dense import OBJECT, Dense
from src.prediction.drawing import above
from src.prediction.rcnn import Rcnn, Scored

NMS = "NMS: remove the lower score above this IoU"
ALL = 10**6  # boxes: the pipeline's own limit would be a count of its own


class Control(NamedTuple):
    """A slider."""

    label: str
    least: float
    most: float
    value: float
    step: float


class View(NamedTuple):
    """A picture with boxes."""

    caption: str
    record: Record  # `boxes`, and if they have classes, `labels` and `scores`
    classes: list[str]
    total: int  # number of boxes that the record's were chosen from


class Look(NamedTuple):
    """A method's outputs for a photo, before any threshold, and the seconds that its parts took."""

    raw: Any
    seconds: dict[str, float]

    def times(self) -> str:
        """Format the seconds as a line for people."""
        return ", ".join(f"{name} {1000 * value:.0f} ms" for name, value in self.seconds.items())


class RcnnPanel:
    """Proposals, and R-CNN's detections before and after NMS and box regression."""

    title = "R-CNN"

    def __init__(self, method: Rcnn, proposals: str) -> None:
        self.method, self.proposals = method, proposals.replace("_", " ")
        self.controls = [
            Control("number of proposals to show", 0, 300, 100, 10),
            Control("SVM score above", -2, 2, RCNN_ABOVE, 0.05),
            Control(NMS, 0, 1, method.rules.nms_thresh, 0.05),
        ]

    def look(self, image: np.ndarray, image_id: str) -> Look:
        """Compute the proposals, and the scores and corrections of all of them."""
        boxes, searching = _timed(lambda: self.method.propose(image, image_id))
        scored, scoring = _timed(lambda: self.method.score(image, boxes))
        return Look(scored, {self.proposals: searching, "features and scores": scoring})

    def views(self, look: Look, count: float, score_thresh: float, nms_thresh: float) -> list[View]:
        """Return the three pictures at the sliders' values."""
        scored: Scored = look.raw
        rules = self.method.rules.model_copy(update={"score_thresh": score_thresh, "nms_thresh": nms_thresh})
        unsuppressed = rules.model_copy(update={"nms_thresh": 1.0, "max_per_image": max(1, len(scored.boxes))})
        classes, boxes = self.method.classes, scored.boxes
        before = self.method.finish(scored, unsuppressed, regress=False)
        after = self.method.finish(scored, rules)
        return [
            View(f"proposals of {self.proposals}", {"boxes": boxes[: int(count)]}, [], len(boxes)),
            View("before NMS and box regression", before, classes, scored.scores.size),
            View("after NMS and box regression", after, classes, len(before["boxes"])),
        ]


class DensePanel:
    """A dense detector's boxes, in one picture."""

    def __init__(self, method: Dense, title: str) -> None:
        self.method, self.title = method, title
        nms_thresh = method.section.decode.nms_thresh
        self.controls = [Control("score above", 0, 1, DENSE_ABOVE, 0.01), Control(NMS, 0, 1, nms_thresh, 0.05)]
        agnostic = len(method.classes) == 1 and method.classes[0] == OBJECT
        self.caption, self.names = ("proposals", [""]) if agnostic else ("detections", method.classes)

    def look(self, image: np.ndarray, image_id: str) -> Look:
        """Compute the network's outputs, and keep the photo's size with them."""
        outputs, seconds = _timed(lambda: self.method.outputs(image, image_id))
        return Look((outputs, image.shape[:2]), {"network": seconds})

    def views(self, look: Look, score_thresh: float, nms_thresh: float) -> list[View]:
        """Return the picture at the sliders' values, with all boxes above the score, not the pipeline's number."""
        outputs, size = look.raw
        found = self.method.finish(outputs, size, nms_thresh=nms_thresh, max_per_image=ALL)
        return [View(self.caption, above(found, score_thresh), self.names, len(found["boxes"]))]


class ClassifierPanel:
    """A classifier's probabilities."""

    def __init__(self, method: Classifier, title: str) -> None:
        self.method, self.title = method, title
        self.data: str = method.section.data

    def look(self, image: np.ndarray, image_id: str) -> Look:
        """Compute the probability of each class, by name."""
        probabilities, seconds = _timed(lambda: self.method.probabilities(image))
        return Look(dict(zip(self.method.classes, probabilities.tolist(), strict=True)), {"network": seconds})


Panel = RcnnPanel | DensePanel | ClassifierPanel


def _timed(work: Callable[[], Any]) -> tuple[Any, float]:
    start = time.perf_counter()
    result = work()
    return result, time.perf_counter() - start
