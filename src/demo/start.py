"""The scene on which the page begins: a test scene whose objects the methods find, chosen by a rule from the run."""

from collections import Counter
from collections.abc import Sequence

import numpy as np

from src.boxes.target import Targets
from src.evaluation.outcomes import FALSE, TRUE, Detections, voc_outcomes
from src.prediction.drawing import above

RCNN_ABOVE, DENSE_ABOVE = 0.0, 0.5  # the scores above which the page shows boxes at first
LEAST_OBJECTS = 2


def first_scene(targets: Targets, methods: Sequence[tuple[Detections, float]], classes: Sequence[str]) -> str | None:
    """Return the id of the test scene to begin with.

    Candidates have at least two objects, and none that is difficult. Of these the page takes the scene where the
    method that finds the smaller share of the objects finds most; then that with the fewest false boxes of all methods,
    then that with the most objects, then the first.

    Args:
        targets: the test scenes in their order.
        methods: detections of each scene, and the score above which they count; may be empty.
        classes: label k is `classes[k - 1]`.

    Returns:
        None without a method or a candidate.
    """
    sizes = {image_id: len(target["boxes"]) for image_id, target in targets.items() if not target["difficult"].any()}
    candidates = [image_id for image_id, count in sizes.items() if count >= LEAST_OBJECTS]
    if not methods or not candidates:
        return None
    counted = [_count(detections, score, targets, classes) for detections, score in methods]

    def merit(image_id: str) -> tuple[float, ...]:
        found = min(right[image_id] for right, _ in counted) / sizes[image_id]
        return found, -sum(wrong[image_id] for _, wrong in counted), sizes[image_id]

    return max(candidates, key=merit)


def _count(
    detections: Detections, score: float, targets: Targets, classes: Sequence[str]
) -> tuple[Counter[str], Counter[str]]:
    """Count the detections above a score that are right, and those that are wrong, by image."""
    shown = {image_id: above(dict(detections[image_id]), score) for image_id in targets}
    ids = np.array(sorted(targets))
    right: Counter[str] = Counter()
    wrong: Counter[str] = Counter()
    for outcome in voc_outcomes(shown, targets, classes).values():
        right.update(ids[outcome.images[outcome.outcomes[0] == TRUE]].tolist())
        wrong.update(ids[outcome.images[outcome.outcomes[0] == FALSE]].tolist())
    return right, wrong
