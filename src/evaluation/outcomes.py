"""Match the detections of all images with the objects, by the rules of Pascal VOC and of COCO.

VOC: Everingham et al. 2010 (IJCV 88, Sec. 4.2) and VOCevaldet.m of its development kit. COCO: Lin et al. 2014
(arXiv:1405.0312) and its evaluation code, pycocotools.
The images of a class are matched together, in three steps. All detections and objects of the data set are put end to
end (`_joined`). Per class, the detections are ranked by falling score (`_by_class`). Each is paired with the objects of
its class in its image that it overlaps enough (`_pairs`); these pairs are few, and the rules look at nothing else.
A is the number of detections of one class in all images, M that of its objects, and P that of pairs. I is the number of
images, T that of IoU thresholds.
If scores are equal, the detection in the image with the lower id comes first, and within an image the one that comes
first in its file; the order in which images are given has no influence.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np

from src.boxes.overlap import iou
from src.boxes.target import Targets
from src.errors import InputError

FALSE, TRUE, IGNORED = 0, 1, -1  # outcomes of a detection
COCO_IOU_THRESHS = np.linspace(0.5, 0.95, 10)  # as in pycocotools, including its rounding errors
COCO_MAX_PER_IMAGE = 100
Areas = tuple[float, float]  # smallest and largest area in square pixels, both included as in pycocotools
ALL_AREAS: Areas = (0.0, np.inf)
COCO_AREAS: Mapping[str, Areas] = {"small": (0.0, 32.0**2), "medium": (32.0**2, 96.0**2), "large": (96.0**2, np.inf)}
PAIRS_AT_ONCE = 2**20  # a pair takes some 200 bytes while it is measured; crowded images have many pairs

Detections = Mapping[str, Mapping[str, np.ndarray]]  # image id -> boxes [*, 4], labels [*] from 1, scores [*]
Columns = dict[str, np.ndarray]  # what the images hold, end to end; `images` is an index into the sorted image ids


class Outcomes(NamedTuple):
    """The outcomes of the detections of one class in all images, by falling score."""

    outcomes: np.ndarray  # int8 [T, A] of TRUE, FALSE and IGNORED
    images: np.ndarray  # [A], the image of each detection: an index into the sorted image ids
    rows: np.ndarray  # [A], the row of each detection in the record of its image
    objects: np.ndarray  # [I], the number of objects in each image, without ignored ones


class Pairs(NamedTuple):
    """Pairs of a detection and an object, both of one class and in one image."""

    detections: np.ndarray  # [P], rank of the detection
    objects: np.ndarray  # [P], index of the object among those of the class
    overlaps: np.ndarray  # [P], 0..1


def voc_outcomes(
    detections: Detections, targets: Targets, classes: Sequence[str], iou_thresh: float = 0.5
) -> dict[str, Outcomes]:
    """Find the outcome of every detection, class by class, as VOCevaldet.m does; T is 1.

    Each detection belongs to the object that it overlaps most, difficult or not (the first one, if overlaps are equal).
    It is false if the overlap is too small, or if a detection with a higher score took the object; on a difficult
    object it is ignored. Difference: no `+ 1` in widths and heights; the reader made boxes half-open, so sides agree.

    Args:
        detections: a record for every image of `targets`, possibly an empty one; other images do not count.
        targets: the images to evaluate, at least one; in an image without objects all detections are false positives.
        classes: names; label k is `classes[k - 1]`. A detection with a label beyond them is an `InputError`.
        iou_thresh: the smallest IoU at which a detection finds an object.
    """

    def match(ranked: Columns, objects: Columns) -> np.ndarray:
        return _match_voc(ranked, objects, iou_thresh)

    return _by_class(_joined_detections(detections, targets, classes), targets, classes, match)


def coco_outcomes(
    detections: Detections, targets: Targets, classes: Sequence[str], areas: Areas = ALL_AREAS
) -> dict[str, Outcomes]:
    """Find the outcome of every detection, class by class, as pycocotools does; T is 10: IoU 0.50, 0.55, ..., 0.95.

    In each image, only the 100 detections with the highest scores count, over all classes (as COCO's rules say; its
    code allows 100 per class). Of the objects that are still free, each detection takes the one that it overlaps most
    (the last one, if overlaps are equal). If no free object overlaps it enough, it is ignored if at least the
    threshold's share of *its own* area lies in a difficult object, and false otherwise. So difficult objects are
    treated as COCO's crowds: a COCO evaluator finds the same outcomes if it gets these detections, and `iscrowd` for
    difficult objects. Arguments as for `voc_outcomes`.

    With `areas`, an object of another area is ignored: a detection that finds no other one is ignored if it finds this
    one, which it then takes. A detection of another area that finds none is ignored, too.
    """

    def match(ranked: Columns, objects: Columns) -> np.ndarray:
        return _match_coco(ranked, objects, areas)

    best = _best_of_each_image(_joined_detections(detections, targets, classes))
    return _by_class(best, targets, classes, match, areas)


def check_labels(detections: Detections, num_labels: int, source: str = "the detections") -> None:
    """Raise an `InputError` that names `source` if a label is not among 1, ..., `num_labels`."""
    labels = [record["labels"] for record in detections.values()]
    joined = np.concatenate([np.zeros(0, np.int64), *labels])
    wrong = np.flatnonzero((joined < 1) | (joined > num_labels))
    if len(wrong):
        number = np.searchsorted(np.cumsum([len(of_image) for of_image in labels]), wrong[0], side="right")
        raise InputError(
            f"{source}: image {list(detections)[number]} has a detection with label {joined[wrong[0]]}, but the data "
            f"set has labels 1 to {num_labels}: rerun the detection stage on this data set"
        )


def _joined_detections(detections: Detections, targets: Targets, classes: Sequence[str]) -> Columns:
    check_labels({image_id: detections[image_id] for image_id in targets}, len(classes))
    return _joined(detections, targets, ("boxes", "labels", "scores"))


def _joined(records: Mapping[str, Mapping[str, Any]], targets: Targets, names: Sequence[str]) -> Columns:
    """Put arrays of all images end to end, and note the image and the row of each entry."""
    chosen = [records[image_id] for image_id in sorted(targets)]
    lengths = np.array([len(record["labels"]) for record in chosen])
    images = np.repeat(np.arange(len(chosen)), lengths)
    columns = {name: np.concatenate([record[name] for record in chosen]) for name in names}
    return {"images": images, "rows": _places(lengths), **columns}


def _best_of_each_image(detections: Columns) -> Columns:
    """Keep the 100 detections of each image with the highest scores; their order stays."""
    counts = np.bincount(detections["images"])
    if counts.max(initial=0) <= COCO_MAX_PER_IMAGE:
        return detections
    order = np.lexsort((-detections["scores"], detections["images"]))
    return _chosen(detections, np.sort(order[_places(counts) < COCO_MAX_PER_IMAGE]))


def _by_class(
    detections: Columns,
    targets: Targets,
    classes: Sequence[str],
    match: Callable[[Columns, Columns], np.ndarray],
    areas: Areas = ALL_AREAS,
) -> dict[str, Outcomes]:
    """Rank the detections of each class by falling score, and let `match` find their outcomes [T, A]."""
    truth = _joined(targets, targets, ("boxes", "labels", "difficult"))
    by_label, gt_by_label = (_rows_by_label(columns["labels"], len(classes)) for columns in (detections, truth))
    found = {}
    for name, rows, gt_rows in zip(classes, by_label, gt_by_label, strict=True):
        ranked = _chosen(detections, rows[np.argsort(-detections["scores"][rows], kind="stable")])
        objects = _chosen(truth, gt_rows)
        counts = ~objects["difficult"] & _has_area(objects, areas)
        counted = np.bincount(objects["images"][counts], minlength=len(targets))
        found[name] = Outcomes(match(ranked, objects), ranked["images"], ranked["rows"], counted)
    return found


def _rows_by_label(labels: np.ndarray, num_labels: int) -> list[np.ndarray]:
    """Find the rows of each label 1, ..., `num_labels`; they rise."""
    beyond = num_labels + 1
    short = labels.clip(0, beyond).astype(np.min_scalar_type(beyond))  # NumPy sorts short integers in linear time
    ends = np.bincount(short, minlength=beyond + 1).cumsum()
    return np.split(np.argsort(short, kind="stable"), ends[:-1])[1:-1]


def _match_voc(ranked: Columns, objects: Columns, iou_thresh: float) -> np.ndarray:
    pairs = _pairs(ranked, objects, _iou, iou_thresh)
    order = np.lexsort((-pairs.overlaps, pairs.detections))  # stable: of equal overlaps the first object
    detections, first = np.unique(pairs.detections, return_index=True)
    best = pairs.objects[order[first]]
    difficult = objects["difficult"][best]
    _, first = np.unique(best[~difficult], return_index=True)  # the detection with the highest score gets the object
    outcomes = np.full((1, len(ranked["images"])), FALSE, np.int8)
    outcomes[0, detections[difficult]] = IGNORED
    outcomes[0, detections[~difficult][first]] = TRUE
    return outcomes


def _match_coco(ranked: Columns, objects: Columns, areas: Areas) -> np.ndarray:
    threshs = COCO_IOU_THRESHS
    kept = objects["difficult"] | _has_area(objects, areas)
    others = _chosen(objects, np.flatnonzero(~kept | objects["difficult"]))
    objects = _chosen(objects, np.flatnonzero(kept))
    crowds, objects = (_chosen(objects, np.flatnonzero(objects["difficult"] == value)) for value in (True, False))
    covered = np.zeros(len(ranked["images"]))
    inside = _pairs(ranked, crowds, _coverage, threshs[0])
    np.maximum.at(covered, inside.detections, inside.overlaps)
    outcomes = np.where(covered[:, None] >= threshs, IGNORED, FALSE).astype(np.int8)  # [A, T]: rows are quick to reach
    free = np.ones((len(objects["images"]), len(threshs)), bool)  # [M, T]
    for detections, wanted, overlaps in _turns(_pairs(ranked, objects, _iou, threshs[0]), ranked["images"]):
        hit = (overlaps[:, None] >= threshs) & free[wanted] & (outcomes[detections] != TRUE)
        outcomes[detections] = np.where(hit, TRUE, outcomes[detections])
        free[wanted] &= ~hit
    if areas != ALL_AREAS:
        _ignore_others(outcomes, ranked, others, areas)
    return np.ascontiguousarray(outcomes.T)


def _ignore_others(outcomes: np.ndarray, ranked: Columns, others: Columns, areas: Areas) -> None:
    """Change outcomes [A, T] that are not true to ignored, for detections of other areas or of objects of other areas.

    `others` holds these objects and the crowds. A crowd may be taken many times, any other object once.
    """
    crowd = others["difficult"]
    outcomes[outcomes == IGNORED] = FALSE  # a detection in a crowd may take another object instead
    free = np.ones((len(crowd), len(COCO_IOU_THRESHS)), bool)
    pairs = _pairs(ranked, others, _iou, COCO_IOU_THRESHS[0])
    inside = _pairs(ranked, others, _coverage, COCO_IOU_THRESHS[0])
    alone, of_crowd = ~crowd[pairs.objects], crowd[inside.objects]
    both = Pairs(*(np.concatenate([a[alone], b[of_crowd]]) for a, b in zip(pairs, inside, strict=True)))
    for detections, wanted, overlaps in _turns(both, ranked["images"]):
        hit = (overlaps[:, None] >= COCO_IOU_THRESHS) & free[wanted] & (outcomes[detections] == FALSE)
        outcomes[detections] = np.where(hit, IGNORED, outcomes[detections])
        free[wanted] &= ~hit | crowd[wanted][:, None]
    outcomes[(outcomes == FALSE) & ~_has_area(ranked, areas)[:, None]] = IGNORED


def _has_area(columns: Columns, areas: Areas) -> np.ndarray:
    boxes = columns["boxes"].astype(np.float64)
    area = (boxes[:, 2] - boxes[:, 0]) * (boxes[:, 3] - boxes[:, 1])
    has: np.ndarray = (area >= areas[0]) & (area <= areas[1])
    return has


def _turns(pairs: Pairs, images: np.ndarray) -> Iterator[Pairs]:
    """Yield the pairs in the order in which COCO looks at them, one of every image at a time.

    In each image the best detection comes first, with its objects by falling overlap (of equal overlaps the last).
    """
    images = images[pairs.detections]
    order = np.lexsort((-pairs.objects, -pairs.overlaps, pairs.detections, images))
    turn = _places(np.unique_counts(images).counts)
    order, ends = order[np.argsort(turn, kind="stable")], np.cumsum(np.bincount(turn))
    for chosen in np.split(order, ends[:-1]):
        yield Pairs(*(array[chosen] for array in pairs))


def _pairs(
    ranked: Columns, objects: Columns, measure: Callable[[np.ndarray, np.ndarray], np.ndarray], thresh: float
) -> Pairs:
    """Pair each detection with the objects of its image for which `measure` of both boxes is at least `thresh`.

    Detections come in their order, and the objects of each in theirs.
    """
    many = np.bincount(objects["images"], minlength=ranked["images"].max(initial=-1) + 1)
    first = many.cumsum() - many  # objects are in order of their images
    many, first = many[ranked["images"]], first[ranked["images"]]
    found = []
    for block in np.split(np.arange(len(many)), np.flatnonzero(np.diff(many.cumsum() // PAIRS_AT_ONCE)) + 1):
        detections = np.repeat(block, many[block])
        partners = np.repeat(first[block], many[block]) + _places(many[block])
        overlaps = measure(ranked["boxes"].take(detections, axis=0), objects["boxes"].take(partners, axis=0))
        enough = overlaps >= thresh
        found.append((detections[enough], partners[enough], overlaps[enough]))
    return Pairs(*(np.concatenate(columns) for columns in zip(*found, strict=True)))


def _iou(boxes: np.ndarray, gt_boxes: np.ndarray) -> np.ndarray:
    # Double precision, so that an IoU of exactly 0.6 is not below the threshold 0.6.
    return iou(boxes[:, None].astype(np.float64), gt_boxes[:, None].astype(np.float64))[:, 0, 0]


def _coverage(boxes: np.ndarray, gt_boxes: np.ndarray) -> np.ndarray:
    """Compute the share of each box [P] that lies in its ground-truth box; 0 for an empty box."""
    boxes, gt_boxes = boxes.astype(np.float64), gt_boxes.astype(np.float64)
    sides = np.minimum(boxes[:, 2:], gt_boxes[:, 2:]) - np.maximum(boxes[:, :2], gt_boxes[:, :2])
    shared: np.ndarray = sides.clip(min=0).prod(axis=1)
    return shared / (boxes[:, 2:] - boxes[:, :2]).prod(axis=1).clip(min=np.finfo(np.float64).tiny)


def _places(lengths: np.ndarray) -> np.ndarray:
    """Number the entries of consecutive groups within each group: lengths 2 and 3 give 0, 1, 0, 1, 2."""
    places: np.ndarray = np.arange(lengths.sum()) - np.repeat(lengths.cumsum() - lengths, lengths)
    return places


def _chosen(columns: Columns, rows: np.ndarray) -> Columns:
    return {name: column.take(rows, axis=0) for name, column in columns.items()}  # many times as fast as column[rows]
