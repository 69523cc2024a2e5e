"""The mAP that each kind of mistake costs: the gain if all mistakes of that kind were put right.

Bolya et al. 2020 (TIDE, arXiv:2008.08115), Sec. 2.2-2.3. The kinds are those of src/evaluation/mistakes.py, but here
every detection counts, as average precision counts it, and not the best ranked ones alone. One kind is put right at a
time, so the costs of the kinds do not add up to what is missing from an mAP of 1.
K is the number of detections that are not ignored.
"""

from collections.abc import Iterable, Sequence
from typing import NamedTuple

import numpy as np

from src.boxes.overlap import iou
from src.boxes.target import Targets
from src.evaluation.average_precision import mean_ap, precision_recall, voc07
from src.evaluation.mistakes import (
    BACKGROUND,
    CONFUSION,
    CORRECT,
    DUPLICATE,
    LOCALISATION,
    MISSED,
    NO_OBJECT,
    kinds,
    outcomes_by_image,
)
from src.evaluation.outcomes import IGNORED, Detections, Outcomes

REMOVED = (DUPLICATE, BACKGROUND)


class Ranked(NamedTuple):
    """All detections that are not ignored, of all classes, by falling score (ties by image, then by row)."""

    labels: np.ndarray  # [K], from 1
    kinds: np.ndarray  # [K]
    objects: np.ndarray  # [K], the object that a detection concerns, a number over all images; NO_OBJECT for none


class Objects(NamedTuple):
    """The objects of all images, end to end; M is their number."""

    labels: np.ndarray  # [M], from 1
    difficult: np.ndarray  # [M]


def costs(detections: Detections, targets: Targets, classes: Sequence[str]) -> dict[str, float]:
    """Compute the VOC07 mAP that would be gained if all mistakes of a kind were put right.

    - localisation, confusion: the detection gets the box and the class of the object that it concerns. If the object
      is found already, is difficult, or has a better candidate among the mistakes of this kind, the detection is
      removed instead.
    - duplicate, background: the detection is removed.
    - missed: objects that no detection finds, misplaces or confuses no longer count. A class that has no other object
      gets an AP of 1.

    Differences from TIDE: its average precision is COCO's, and it splits a confusion by IoU and removes the part below
    0.5.

    Args:
        detections: a record for every image of `targets`, possibly an empty one.
        targets: the test images; without images every cost is 0.
        classes: names; label k is `classes[k - 1]`.

    Returns:
        The gain by kind, in the order of `MISTAKES`; below 0 in rare cases, as when a corrected detection has a low
        score. 0 for every kind if there is no object that is not difficult.
    """
    found_kinds = (LOCALISATION, DUPLICATE, CONFUSION, BACKGROUND, MISSED)
    if not any((~target["difficult"]).any() for target in targets.values()):
        return dict.fromkeys(found_kinds, 0.0)
    ranked, objects = _ranked(detections, targets, classes)
    before = _mean_ap(ranked.labels, ranked.kinds == CORRECT, objects, ~objects.difficult, len(classes))
    return {kind: _fixed(ranked, objects, kind, len(classes)) - before for kind in found_kinds}


def _fixed(ranked: Ranked, objects: Objects, kind: str, num_labels: int) -> float:
    """Compute mAP after all mistakes of a kind were put right."""
    labels, true, counted = ranked.labels.copy(), ranked.kinds == CORRECT, ~objects.difficult
    keep = ranked.kinds != kind
    if kind == MISSED:
        counted &= np.isin(np.arange(len(counted)), ranked.objects)
    elif kind not in REMOVED:
        free = ~objects.difficult
        free[ranked.objects[true]] = False
        candidates = np.flatnonzero(ranked.kinds == kind)
        candidates = candidates[free[ranked.objects[candidates]]]
        _, first = np.unique(ranked.objects[candidates], return_index=True)  # the one with the highest score
        chosen = candidates[first]
        keep[chosen] = true[chosen] = True
        labels[chosen] = objects.labels[ranked.objects[chosen]]
    return _mean_ap(labels[keep], true[keep], objects, counted, num_labels)


def _mean_ap(labels: np.ndarray, true: np.ndarray, objects: Objects, counted: np.ndarray, num_labels: int) -> float:
    """Compute mAP of ranked detections [K]; `counted` [M] is a mask of the objects that have to be found."""
    return mean_ap(_aps(labels, true, objects, counted, num_labels))


def _aps(
    labels: np.ndarray, true: np.ndarray, objects: Objects, counted: np.ndarray, num_labels: int
) -> Iterable[float]:
    for label in range(1, num_labels + 1):
        own = objects.labels == label
        if (own & ~objects.difficult).any() and not (own & counted).any():
            yield 1.0  # all of its objects were missed, and these no longer count
            continue
        outcomes = true[labels == label].astype(np.int8)[None]
        none = np.zeros(outcomes.shape[1], int)
        yield voc07(precision_recall(Outcomes(outcomes, none, none, np.array([(own & counted).sum()])))[0])


def _ranked(detections: Detections, targets: Targets, classes: Sequence[str]) -> tuple[Ranked, Objects]:
    """Rank all detections, and find kind and object of each."""
    image_ids = sorted(targets)
    outcomes = outcomes_by_image(detections, targets, classes)
    columns: list[tuple[np.ndarray, ...]] = []
    before = 0  # objects of the images before this one
    for image_id in image_ids:
        record, target = detections[image_id], targets[image_id]
        rows = np.flatnonzero(outcomes[image_id] != IGNORED)
        overlap = iou(record["boxes"][rows].astype(np.float64), target["boxes"].astype(np.float64))
        labels = record["labels"][rows]
        found, gt = kinds(outcomes[image_id][rows], overlap, labels[:, None] == target["labels"])
        columns.append((record["scores"][rows], labels, found, np.where(gt == NO_OBJECT, NO_OBJECT, gt + before)))
        before += len(target["labels"])
    scores, *rest = (np.concatenate(column) for column in zip(*columns, strict=True))
    order = np.argsort(-scores, kind="stable")
    objects = (np.concatenate([targets[image_id][name] for image_id in image_ids]) for name in ("labels", "difficult"))
    return Ranked(*(column[order] for column in rest)), Objects(*objects)
