"""F1 of a detector at each score threshold, and the table of true and predicted classes above one threshold.

F1 is the harmonic mean of precision and recall (van Rijsbergen 1979, ch. 7), here over all classes together, so that
one threshold serves all of them. Detections are matched with objects as in the evaluation, at IoU 0.5.
K is the number of thresholds, N that of the detections of an image, M that of its objects, and C that of classes.
"""

from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np

from src.boxes.overlap import iou
from src.boxes.target import Target, Targets
from src.evaluation.mistakes import FG_IOU_THRESH, outcomes_by_image
from src.evaluation.outcomes import FALSE, IGNORED, TRUE, Detections


class Curve(NamedTuple):
    """Counts for each threshold: the detections with at least this score."""

    thresholds: np.ndarray  # [K], scores, falling; each score of a detection once
    true: np.ndarray  # [K], detections that find an object
    kept: np.ndarray  # [K], detections, without those of difficult objects
    objects: int  # without difficult ones

    @property
    def precision(self) -> np.ndarray:
        """Share [K] of the kept detections that are right."""
        return self.true / np.maximum(self.kept, 1)

    @property
    def recall(self) -> np.ndarray:
        """Share [K] of the objects that are found; 0 without objects."""
        return self.true / max(self.objects, 1)

    @property
    def f1(self) -> np.ndarray:
        """F1 [K], 0..1: 2 true / (kept + objects), which is the harmonic mean of precision and recall."""
        return 2 * self.true / np.maximum(self.kept + self.objects, 1)

    def best(self) -> int | None:
        """Return the index of the highest F1, the highest threshold of equal ones; None if nothing is right."""
        return int(self.f1.argmax()) if self.true.any() else None


def f1_curve(detections: Detections, targets: Targets, classes: Sequence[str]) -> Curve:
    """Count right and wrong detections at each score threshold, over all classes.

    The matching takes detections by falling score, so a detection below a threshold has no influence on those above,
    and one matching serves all thresholds.

    Args:
        detections: a record for every image of `targets`, possibly an empty one.
        targets: the images to evaluate; without images or without detections K is 0.
        classes: names; label k is `classes[k - 1]`. A detection with a label beyond them is an `InputError`.
    """
    objects = sum(int((~target["difficult"]).sum()) for target in targets.values())
    outcomes = outcomes_by_image(detections, targets, classes)
    scores = np.concatenate([np.zeros(0), *(detections[image_id]["scores"] for image_id in outcomes)])
    joined = np.concatenate([np.zeros(0, np.int8), *outcomes.values()])
    counted = joined != IGNORED
    scores, joined = scores[counted], joined[counted]
    order = np.argsort(-scores, kind="stable")
    scores, true = scores[order], np.cumsum(joined[order] == TRUE)
    last = np.flatnonzero(np.diff(scores, append=-np.inf))  # a threshold takes all detections of equal score
    return Curve(scores[last], true[last], last + 1, objects)


def confusion(detections: Detections, targets: Targets, classes: Sequence[str], score_thresh: float) -> np.ndarray:
    """Count detections and objects by true and by predicted class.

    Right detections come first: the diagonal has those of `f1_curve`. Then each other detection, by falling score,
    takes the object of another class that it overlaps most, with an IoU of at least 0.5, if nothing has taken it yet;
    of equal overlaps the first one. Detections that are left have the true class "nothing", a second box on an object
    among them, and objects that are left are "missed". Difficult objects, and detections of them, do not count.

    Args:
        detections, targets, classes: as for `f1_curve`.
        score_thresh: the smallest score of a detection that counts.

    Returns:
        [C + 1, C + 1], integers: a row per true class and a last one for nothing, a column per predicted class and a
        last one for missed. Without images all are 0; the last cell is always 0.
    """
    counts = np.zeros((len(classes) + 1, len(classes) + 1), int)
    for image_id, outcomes in outcomes_by_image(detections, targets, classes).items():
        kept = detections[image_id]["scores"] >= score_thresh
        rows, columns = _pairs(detections[image_id], targets[image_id], np.where(kept, outcomes, IGNORED))
        np.add.at(counts, (rows - 1, columns - 1), 1)  # label 0, for nothing and for missed, is the last place
    return counts


def _pairs(record: Mapping[str, np.ndarray], target: Target, outcomes: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return the true and the predicted label of each pair of one image; 0 is nothing, or missed."""
    overlaps = iou(record["boxes"].astype(np.float64), target["boxes"].astype(np.float64))  # [N, M]
    same = record["labels"][:, None] == target["labels"]
    taken = np.full(len(target["labels"]), -1)  # the detection that has each object
    right = np.flatnonzero(outcomes == TRUE)
    if len(right):
        taken[np.where(same, overlaps, -1.0)[right].argmax(axis=1)] = right
    wrong = np.flatnonzero(outcomes == FALSE)
    for row in wrong[np.argsort(-record["scores"][wrong], kind="stable")]:
        free = np.where(same[row] | target["difficult"] | (taken >= 0), -1.0, overlaps[row])
        if free.max(initial=-1.0) >= FG_IOU_THRESH:
            taken[free.argmax()] = row
    counted = ~target["difficult"]
    predicted = np.where(taken >= 0, record["labels"][taken], 0) if len(record["labels"]) else np.zeros(len(taken), int)
    nothing = np.setdiff1d(wrong, taken)
    true = np.concatenate([target["labels"][counted], np.zeros(len(nothing), int)])
    return true, np.concatenate([predicted[counted], record["labels"][nothing]])
