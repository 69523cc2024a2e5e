"""One small picture per term of the glossary that has one, from the test scenes of a run."""

from collections.abc import Callable, Mapping

import numpy as np
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle

from src.errors import InputError
from src.evaluation.average_precision import voc07, voc_curves
from src.files.records import Record
from src.pictures.canvas import CANDIDATE, DPI, FOUND, OBJECT, TITLE, WRONG, draw_box, png, row
from src.pictures.run import METHODS, Run, overlaps
from src.rcnn.detect import DetectRcnn, select

WIDTH = 720  # pixels
IOUS = (0.3, 0.5, 0.8)
BACKGROUND_IOU = 0.3  # negatives of the SVMs lie below it (R-CNN Sec. 2.3)
SHOWN_NEGATIVES = 3
GOOD_IOU = 0.8  # of a box after box regression, so that the picture is clear
FEW, MANY = 5, 12  # boxes before NMS, so that the picture is clear


def iou_picture(run: Run) -> bytes:
    """Shift a box along an object until their IoU is 0.3, 0.5 and 0.8; the shared part is filled."""
    image_id, (x1, y1, x2, y2) = _one_object(run)
    figure, panels = row([run.images.image(image_id)] * 3, [f"IoU {value}" for value in IOUS], width=WIDTH)
    to_left = x1 + x2 > run.images.size(image_id)[1]  # so that the shifted box stays inside
    for axes, value in zip(panels, IOUS, strict=True):
        shift = (x2 - x1) * (1 - value) / (1 + value) * (-1 if to_left else 1)
        left, right = max(x1, x1 + shift), min(x2, x2 + shift)
        axes.add_patch(Rectangle((left, y1), right - left, y2 - y1, color=FOUND, alpha=0.5, linewidth=0))
        draw_box(axes, (x1, y1, x2, y2), OBJECT, dashed=True)
        draw_box(axes, (x1 + shift, y1, x2 + shift, y2), FOUND if value >= 0.5 else WRONG)
    return png(figure)


def nms_picture(run: Run, settings: DetectRcnn) -> bytes:
    """Show the proposals that an SVM gives a score above 0, before and after non-maximum suppression."""
    image_id, label = _crowd(run)
    boxes, scores = run.proposals[image_id]["boxes"], np.array(run.scores[image_id].scores[:, label - 1])
    above = np.flatnonzero(scores > 0)
    kept = select(boxes[above], scores[above], settings)
    titles = [f"{len(above)} boxes score above 0 for {run.images.classes[label - 1]}", f"after NMS: {len(kept)}"]
    figure, panels = row([run.images.image(image_id)] * 2, titles, width=WIDTH)
    for axes, rows in zip(panels, (above, above[kept]), strict=True):
        for index in rows:
            draw_box(axes, boxes[index], FOUND if axes is panels[1] else CANDIDATE)
    return png(figure)


def anchor_picture(run: Run) -> bytes:
    """Show all anchors of the RPN at the cell whose anchor overlaps an object most."""
    return _reference(run, "rpn", "anchors", "anchors of one cell")


def default_box_picture(run: Run) -> bytes:
    """Show the default boxes of SSD at the cell whose default box overlaps an object most."""
    return _reference(run, "ssd300", "default_boxes", "default boxes of one cell")


def proposal_picture(run: Run) -> bytes:
    """Show the proposals of a scene and, for each object, the best of them with its IoU."""
    image_id = next((name for name in run.test_ids if len(run.targets[name]["boxes"]) > 1), _one_object(run)[0])
    boxes, objects = run.proposals[image_id]["boxes"], run.targets[image_id]["boxes"]
    found = overlaps(boxes, objects)
    titles = [f"{len(boxes)} proposals", "the best per object, with its IoU"]
    figure, panels = row([run.images.image(image_id)] * 2, titles, width=WIDTH)
    for box in boxes:
        draw_box(panels[0], box, CANDIDATE, thin=True)
    for number, box in enumerate(objects):
        draw_box(panels[1], box, OBJECT, dashed=True)
        if len(boxes):
            best = int(found[:, number].argmax())
            draw_box(panels[1], boxes[best], FOUND, text=f"{found[best, number]:.2f}")
    return png(figure)


def hard_negative_picture(run: Run) -> bytes:
    """Show the negatives of a scene with the lowest and with the highest score of an SVM."""
    best = max((*_hardest(run, image_id), image_id) for image_id in run.test_ids)
    _, label, image_id = best
    boxes, scores = run.proposals[image_id]["boxes"], np.array(run.scores[image_id].scores[:, label - 1])
    negatives = _negatives(run, image_id)
    ranked = negatives[np.argsort(scores[negatives], kind="stable")]
    word = run.images.classes[label - 1]
    titles = [f"easy negatives for {word}", f"the hardest negative for {word}"]
    figure, panels = row([run.images.image(image_id)] * 2, titles, width=WIDTH)
    for axes, rows, colour in zip(panels, (ranked[:SHOWN_NEGATIVES], ranked[-1:]), (CANDIDATE, WRONG), strict=True):
        for box in run.targets[image_id]["boxes"]:
            draw_box(axes, box, OBJECT, dashed=True)
        for index in rows:
            draw_box(axes, boxes[index], colour, text=f"score {scores[index]:.1f}")
    return png(figure)


def precision_recall_picture(run: Run) -> bytes:
    """Draw precision against recall for the class that the methods differ most in; the area below SSD's is filled."""
    curves = {name: voc_curves(run.detections(name), run.targets, run.images.classes) for name in METHODS}
    first, second = curves.values()
    known = [name for name in run.images.classes if len(first[name].recall) and len(second[name].recall)]
    if not known:
        raise InputError(f"{run.images.path}: no class of the split `{run.split}` was detected; there is no curve")
    shown = max(known, key=lambda name: abs(voc07(first[name]) - voc07(second[name])))
    figure = Figure(figsize=(WIDTH / 1.5 / DPI, 3.2), dpi=DPI, facecolor="white", layout="constrained")
    axes = figure.add_subplot(xlabel="recall: share of the objects found", ylabel="precision: share that is right")
    for (name, word), colour in zip(METHODS.items(), ("#b35900", "#0072b2"), strict=True):
        curve = curves[name][shown]
        axes.plot(curve.recall, curve.precision, color=colour, label=f"{word}: AP {voc07(curve):.2f}")
    axes.fill_between(curve.recall, curve.precision, color=colour, alpha=0.15)
    axes.set(xlim=(0, 1.02), ylim=(0, 1.05))
    axes.set_title(f"{shown}, VOC07 AP at IoU 0.5", fontsize=TITLE)
    axes.legend(loc="lower left", frameon=False)
    return png(figure)


def box_regression_picture(run: Run) -> bytes:
    """Show the proposal and the corrected box that box regression moved most towards an object."""
    before, after = run.detections("rcnn", "no_bbox"), run.detections("rcnn")
    image_id, number = most_moved(run, before, after)
    best = [_best(run, records, image_id) for records in (before, after)]
    words = ("proposal", "after box regression")
    titles = [f"{word}: IoU {shares[number]:.2f}" for word, (shares, _) in zip(words, best, strict=True)]
    figure, panels = row([run.images.image(image_id)] * 2, titles, width=WIDTH)
    for axes, records, (_, rows) in zip(panels, (before, after), best, strict=True):
        draw_box(axes, run.targets[image_id]["boxes"][number], OBJECT, dashed=True)
        if rows[number] >= 0:
            draw_box(axes, records[image_id]["boxes"][rows[number]], FOUND if axes is panels[1] else CANDIDATE)
    return png(figure)


def most_moved(run: Run, before: Mapping[str, Record], after: Mapping[str, Record]) -> tuple[str, int]:
    """Return the image and the row of the object whose detection gains most IoU by box regression, from R-CNN's files.

    Both detections are of the same region, which keeps its score. Without such an object it is the first of all.
    """
    gains = []
    for image_id in run.test_ids:
        (old, old_rows), (new, new_rows) = (_best(run, records, image_id) for records in (before, after))
        for number in np.flatnonzero((old_rows >= 0) & (new_rows >= 0)):
            scores = [before[image_id]["scores"][old_rows[number]], after[image_id]["scores"][new_rows[number]]]
            if scores[0] == scores[1] and new[number] >= GOOD_IOU:
                gains.append((float(new[number] - old[number]), image_id, int(number)))
    return max(gains)[1:] if gains else (_one_object(run)[0], 0)


def pictures(settings: DetectRcnn) -> dict[str, Callable[[Run], bytes]]:
    """Return the function of each picture by the name of its file; `settings` are those of R-CNN's NMS."""
    return {
        "iou": iou_picture,
        "nms": lambda run: nms_picture(run, settings),
        "anchor": anchor_picture,
        "default_box": default_box_picture,
        "proposal": proposal_picture,
        "hard_negative": hard_negative_picture,
        "precision_recall": precision_recall_picture,
        "box_regression": box_regression_picture,
    }


def _one_object(run: Run) -> tuple[str, tuple[float, float, float, float]]:
    """Return the first wide test image with one large object well inside, and its box; else the first with any."""
    for clear in (True, False):
        for image_id in run.test_ids:
            boxes, (height, width) = run.targets[image_id]["boxes"], run.images.size(image_id)
            if not len(boxes) or (clear and len(boxes) > 1):
                continue
            x1, y1, x2, y2 = (float(value) for value in boxes[0])
            inside = 0.1 * width <= x1 and x2 <= 0.9 * width and x2 - x1 >= 0.25 * width
            if not clear or (width > height and inside):
                return image_id, (x1, y1, x2, y2)
    raise InputError(f"{run.images.path}: no image of the split `{run.split}` has an object, so there is none to show")


def _crowd(run: Run) -> tuple[str, int]:
    """Return the first wide test image with one object, and its label, whose SVM scores some proposals above 0."""
    for image_id in run.test_ids:
        labels, (height, width) = run.targets[image_id]["labels"], run.images.size(image_id)
        if (
            width > height
            and len(labels) == 1
            and FEW <= (run.scores[image_id].scores[:, labels[0] - 1] > 0).sum() <= MANY
        ):
            return image_id, int(labels[0])
    return _one_object(run)[0], 1


def _negatives(run: Run, image_id: str) -> np.ndarray:
    """Return the rows of the proposals that overlap no object by `BACKGROUND_IOU` or more."""
    found = overlaps(run.proposals[image_id]["boxes"], run.targets[image_id]["boxes"])
    return np.flatnonzero(found.max(axis=1, initial=0.0) < BACKGROUND_IOU)


def _hardest(run: Run, image_id: str) -> tuple[float, int]:
    """Return the highest score of a negative in an image, and the class; -inf without a negative."""
    scores = np.array(run.scores[image_id].scores)[_negatives(run, image_id)]
    if not scores.size:
        return -np.inf, 1
    return float(scores.max()), int(scores.max(axis=0).argmax()) + 1


def _best(run: Run, records: Mapping[str, Record], image_id: str) -> tuple[np.ndarray, np.ndarray]:
    """Find the detection with the highest score of each object's class that overlaps it by 0.3 or more.

    Returns:
        its IoU [M], 0 without one; its row [M], -1 without one.
    """
    record, target = records[image_id], run.targets[image_id]
    found = overlaps(record["boxes"], target["boxes"])
    shares, rows = np.zeros(len(target["boxes"])), np.full(len(target["boxes"]), -1)
    for number, label in enumerate(target["labels"]):
        near = np.flatnonzero((record["labels"] == label) & (found[:, number] >= BACKGROUND_IOU))
        if len(near):
            rows[number] = near[record["scores"][near].argmax()]
            shares[number] = found[rows[number], number]
    return shares, rows


def _reference(run: Run, detector: str, key: str, words: str) -> bytes:
    """Show the boxes of one cell, and the centres of all cells of its map."""
    image_id, target = _one_object(run)
    height, width = run.images.size(image_id)
    boxes, side = run.reference_boxes(detector, key)
    boxes = boxes.astype(np.float64) * (np.array([width, height] * 2) / side)
    found = overlaps(boxes, np.array([target]))[:, 0]
    best = int(found.argmax())
    centres, sides = (boxes[:, :2] + boxes[:, 2:]) / 2, boxes[:, 2:] - boxes[:, :2]
    cell = np.flatnonzero(np.isclose(centres, centres[best]).all(axis=1))
    grid = centres[np.isclose(sides, sides[best], rtol=1e-3).all(axis=1)]
    if key == "default_boxes":  # several maps may have a cell there: those of the best box's map follow each other
        cell = cell[np.abs(cell - best) < len(cell)]
    titles = [f"{len(cell)} {words}, of {len(grid)} cells", f"the best overlaps the object by {found[best]:.2f}"]
    figure, panels = row([run.images.image(image_id)] * 2, titles, width=WIDTH)
    panels[0].plot(*grid.T, ".", color="black", markersize=4)
    panels[0].plot(*grid.T, ".", color=CANDIDATE, markersize=2)
    for index in cell:
        draw_box(panels[0], boxes[index], CANDIDATE)
    draw_box(panels[1], target, OBJECT, dashed=True)
    draw_box(panels[1], boxes[best], FOUND)
    return png(figure)
