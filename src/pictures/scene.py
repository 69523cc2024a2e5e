"""One scene through the methods: the proposals, R-CNN's and SSD's detections, and the objects that they do not find."""

import numpy as np

from src.errors import InputError
from src.evaluation.mistakes import CORRECT, MISSED, Finding, findings
from src.pictures.canvas import CANDIDATE, FOUND, OBJECT, WRONG, draw_box, png, row
from src.pictures.run import METHODS, Run, overlaps

LEAST_OBJECTS = 3
FOUND_IOU = 0.5
WIDTH = 1200  # pixels
LEGEND = "dashed: object   ·   blue: found   ·   orange: mistake, or object that was not found   ·   yellow: proposal"


def scene(run: Run) -> bytes:
    """Draw the chosen scene three times: with all proposals, R-CNN's detections and SSD's detections.

    Per class, a method shows its best ranked detections, as many as there are objects in all test images
    (src/evaluation/mistakes.py), so no threshold is chosen for it.
    """
    found = {name: findings(run.detections(name), run.targets, run.images.classes) for name in METHODS}
    image_id = chosen(run, found)
    image, objects = run.images.image(image_id), run.targets[image_id]["boxes"]
    proposals = run.proposals[image_id]["boxes"]
    covered = int((overlaps(proposals, objects).max(axis=0, initial=0.0) >= FOUND_IOU).sum())
    titles = [f"{len(proposals)} proposals cover {covered} of {len(objects)} objects"]
    titles += [
        f"{word}: {_found(found[name], image_id)} of {len(objects)} here, {_share(run, found[name]):.0%} of all objects"
        for name, word in METHODS.items()
    ]
    figure, panels = row([image] * 3, titles, width=WIDTH, legend=LEGEND)
    for box in proposals:
        draw_box(panels[0], box, CANDIDATE, thin=True)
    for box in objects:
        draw_box(panels[0], box, OBJECT, dashed=True)
    for axes, items in zip(panels[1:], found.values(), strict=True):
        of_image = [item for item in items if item.image_id == image_id]
        correct = {item.gt for item in of_image if item.kind == CORRECT}
        for number, box in enumerate(objects):
            draw_box(axes, box, OBJECT if number in correct else WRONG, dashed=True)
        for item in of_image:
            if item.kind != MISSED:
                word = run.images.classes[item.label - 1]
                draw_box(axes, item.box, FOUND if item.kind == CORRECT else WRONG, text=word)
    return png(figure)


def chosen(run: Run, found: dict[str, list[Finding]]) -> str:
    """Return the first test scene with enough objects in which the better method finds more of them.

    The better method is the one that finds more objects of all test scenes, so that the scene shows the rule and not
    the exception. Without such a scene, the first one with objects; without any object there is an `InputError`.
    """
    worse, better = sorted(found.values(), key=lambda items: _share(run, items))
    for image_id in run.test_ids:
        if _counts(run, image_id) >= LEAST_OBJECTS and _found(better, image_id) > _found(worse, image_id):
            return image_id
    for image_id in run.test_ids:
        if _counts(run, image_id):
            return image_id
    raise InputError(f"{run.images.path}: no image of the split `{run.split}` has an object, so there is none to show")


def _counts(run: Run, image_id: str) -> int:
    """Return the number of objects, or 0 if some are difficult: those are neither found nor missed."""
    difficult = run.targets[image_id]["difficult"]
    return 0 if np.any(difficult) else len(difficult)


def _found(items: list[Finding], image_id: str) -> int:
    return sum(item.kind == CORRECT and item.image_id == image_id for item in items)


def _share(run: Run, items: list[Finding]) -> float:
    """Return the share of the objects of all test scenes that a method finds, without difficult objects."""
    objects = sum(int((~target["difficult"]).sum()) for target in run.targets.values())
    return sum(item.kind == CORRECT for item in items) / max(objects, 1)
