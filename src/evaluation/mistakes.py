"""The correct detections and the mistakes of a detector, sorted by kind.

Hoiem, Chodpathumwan and Dai 2012 ("Diagnosing Error in Object Detectors", ECCV), and Bolya et al. 2020 (TIDE,
arXiv:2008.08115), Sec. 2. Per class, the N best ranked detections are examined; N is the number of its objects that
are not difficult. A perfect detector finds all of them this way, so no score threshold has to be chosen, and detectors
with different score scales can be compared. A class without objects is skipped.
"""

import math
from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

import numpy as np

from src.boxes.overlap import iou
from src.boxes.target import Targets
from src.evaluation.outcomes import IGNORED, TRUE, Detections, Outcomes, voc_outcomes

FG_IOU_THRESH = 0.5  # from this IoU on, a detection of the right class has found the object
BG_IOU_THRESH = 0.1  # below this IoU, a detection is unrelated to the object; both papers
CORRECT, LOCALISATION, DUPLICATE, CONFUSION = "correct", "localisation", "duplicate", "confusion"
BACKGROUND, MISSED = "background", "missed"
MISTAKES = {
    LOCALISATION: "an object of the class overlaps, but with an IoU from 0.1 to below 0.5",
    DUPLICATE: "a detection with a higher score has already found the object",
    CONFUSION: "the overlap, IoU 0.1 or more, is with an object of another class",
    BACKGROUND: "no object overlaps with an IoU of 0.1 or more",
    MISSED: "an object that none of the detections above found, misplaced or took for another class",
}
NO_OBJECT = -1


class Finding(NamedTuple):
    """A detection that was examined, or an object that was missed."""

    kind: str  # CORRECT or one of MISTAKES
    image_id: str
    label: int  # the detection's; for a missed object its own
    box: np.ndarray  # [4], pixels: the detection's; for a missed object its own
    score: float  # nan for a missed object
    iou: float  # with the object, 0..1; 0 without one
    gt: int  # the object that it concerns: an index into the image's target; NO_OBJECT for background


def findings(detections: Detections, targets: Targets, classes: Sequence[str]) -> list[Finding]:
    """Find the kind of each of the best ranked detections, and the objects that they miss.

    Detections are matched with objects as in the evaluation (`voc_outcomes`). A detection of a difficult object is
    skipped and takes no rank. A false detection has the first kind of `MISTAKES` that fits, so an overlap with an
    object of its own class comes before one with another class. Difficult objects explain a mistake as others do, and
    are never missed. Differences: for Hoiem et al. a duplicate is a localisation error; for TIDE a confusion below an
    IoU of 0.5 is a kind of its own.

    Args:
        detections: a record for every image of `targets`, possibly an empty one.
        targets: the test images; without images there are no findings.
        classes: names; label k is `classes[k - 1]`. A detection with a label beyond them is an `InputError`.

    Returns:
        Findings by kind, `CORRECT` first and then as in `MISTAKES`. Within a kind the worst come first: detections by
        falling score, missed objects by falling area. Detections that equal the objects give no mistakes.
    """
    if not targets:
        return []
    outcomes = voc_outcomes(detections, targets, classes, FG_IOU_THRESH)
    examined = [
        item
        for label, name in enumerate(classes, start=1)
        for item in _best_ranked(outcomes[name], detections, targets, label)
    ]
    order = {kind: number for number, kind in enumerate([CORRECT, *MISTAKES])}

    def worst_first(item: Finding) -> tuple[Any, ...]:
        rank = _area(item.box) if item.kind == MISSED else item.score
        return order[item.kind], -rank, item.image_id, item.label, item.gt

    return sorted([*examined, *_missed(examined, targets)], key=worst_first)


def outcomes_by_image(detections: Detections, targets: Targets, classes: Sequence[str]) -> dict[str, np.ndarray]:
    """Find the outcome of every detection by image: [N] of TRUE, FALSE and IGNORED, in the order of its record.

    The matching is that of `voc_outcomes` at IoU 0.5. Images are in sorted order; without images the dict is empty.
    """
    image_ids = sorted(targets)
    if not image_ids:
        return {}
    found = {image_id: np.full(len(detections[image_id]["labels"]), IGNORED, np.int8) for image_id in image_ids}
    for of_class in voc_outcomes(detections, targets, classes, FG_IOU_THRESH).values():
        for outcome, image, row in zip(of_class.outcomes[0], of_class.images, of_class.rows, strict=True):
            found[image_ids[image]][row] = outcome
    return found


def counts(items: Sequence[Finding], label: int | None = None) -> dict[str, int]:
    """Count the findings per kind, including zeros, of all classes or of one (the class of the detection).

    >>> counts([])
    {'correct': 0, 'localisation': 0, 'duplicate': 0, 'confusion': 0, 'background': 0, 'missed': 0}
    """
    chosen = [item.kind for item in items if label in (None, item.label)]
    return {kind: chosen.count(kind) for kind in (CORRECT, *MISTAKES)}


def _best_ranked(of_class: Outcomes, detections: Detections, targets: Targets, label: int) -> Iterator[Finding]:
    """Yield the findings of one class by falling score, at most as many as it has objects that are not difficult."""
    image_ids, outcomes = sorted(targets), of_class.outcomes[0]
    for place in np.flatnonzero(outcomes != IGNORED)[: of_class.objects.sum()]:
        image_id, row = image_ids[of_class.images[place]], of_class.rows[place]
        record, target = detections[image_id], targets[image_id]
        box = record["boxes"][row]
        overlap = iou(box[None].astype(np.float64), target["boxes"].astype(np.float64))[0]
        found = kinds(outcomes[place][None], overlap[None], (target["labels"] == label)[None])
        kind, gt = str(found[0][0]), int(found[1][0])
        share = 0.0 if gt == NO_OBJECT else float(overlap[gt])
        yield Finding(kind, image_id, label, box, float(record["scores"][row]), share, gt)


def kinds(outcomes: np.ndarray, overlap: np.ndarray, own: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Find kind and object of the detections of one image.

    Args:
        outcomes: [N], those of `voc_outcomes`, without ignored ones.
        overlap: [N, M], the IoU of each detection with each object; M may be 0.
        own: [N, M], True if detection and object have the same class.

    Returns:
        (kinds [N], as text; objects [N], an index into M or `NO_OBJECT`).
    """
    nothing = np.full((len(outcomes), 1), -1.0)  # a last column, so that an image without objects has one
    same, other = (np.hstack([np.where(mask, overlap, -1.0), nothing]) for mask in (own, ~own))
    near_same, near_other = (share.max(axis=1) >= BG_IOU_THRESH for share in (same, other))
    gt = np.where(near_same, same.argmax(axis=1), np.where(near_other, other.argmax(axis=1), NO_OBJECT))
    found = np.where(same.max(axis=1) >= FG_IOU_THRESH, DUPLICATE, LOCALISATION)
    found = np.where(outcomes == TRUE, CORRECT, found)
    return np.where(near_same, found, np.where(near_other, CONFUSION, BACKGROUND)), gt


def _missed(examined: Sequence[Finding], targets: Targets) -> Iterator[Finding]:
    """Yield a finding for each object that no other finding concerns, except difficult objects.

    As in TIDE, an object that is part of another mistake counts only there.
    """
    concerned = {(item.image_id, item.gt) for item in examined}
    for image_id, target in targets.items():
        for gt in np.flatnonzero(~target["difficult"]):
            if (image_id, int(gt)) not in concerned:
                box = target["boxes"][gt]
                yield Finding(MISSED, image_id, int(target["labels"][gt]), box, math.nan, 0.0, int(gt))


def _area(box: np.ndarray) -> float:
    return float((box[2] - box[0]) * (box[3] - box[1]))
