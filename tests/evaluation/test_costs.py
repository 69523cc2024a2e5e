"""The costs of mistakes against an implementation in plain Python that shares no code with ours."""

import numpy as np
import pytest

from src.evaluation.costs import costs
from src.evaluation.mistakes import MISTAKES
from tests.evaluation.test_mistakes import AWAY, CAR, CAT, CLASSES, OBJECT, SHIFTED, record, target

NAMES = ["car", "cat", "dog"]


def test_perfect_detections_cost_nothing():
    targets = {"a": target((CAR, OBJECT), (CAT, AWAY))}
    found = costs({"a": record((CAR, OBJECT, 0.9), (CAT, AWAY, 0.8))}, targets, CLASSES)
    assert found == dict.fromkeys(MISTAKES, 0.0)


@pytest.mark.parametrize(
    ("detections", "kind", "cost"),
    [
        ([(CAR, SHIFTED, 0.9)], "localisation", 1.0),
        ([(CAR, SHIFTED, 0.9), (CAR, OBJECT, 0.8)], "localisation", 0.5),  # removed: the object is found
        ([(CAT, OBJECT, 0.9)], "confusion", 1.0),
        ([(CAR, AWAY, 0.9), (CAR, OBJECT, 0.8)], "background", 0.5),
        ([(CAR, OBJECT, 0.9), (CAR, OBJECT, 0.8)], "duplicate", 0.0),  # it ranks below the object
        ([], "missed", 1.0),
    ],
)
def test_one_object_and_one_mistake(detections, kind, cost):
    found = costs({"a": record(*detections)}, {"a": target((CAR, OBJECT))}, CLASSES)
    assert found[kind] == pytest.approx(cost)
    assert all(other == 0 for name, other in found.items() if name != kind)


def test_a_detection_at_a_difficult_object_is_removed():
    targets = {"a": target((CAR, OBJECT), (CAT, AWAY, "difficult"))}
    found = costs({"a": record((CAR, AWAY, 0.9), (CAR, OBJECT, 0.8))}, targets, CLASSES)
    assert found["confusion"] == pytest.approx(0.5)


def test_without_images_or_objects_there_are_no_costs():
    assert costs({}, {}, CLASSES) == dict.fromkeys(MISTAKES, 0.0)
    assert costs({"a": record((CAR, OBJECT, 0.9))}, {"a": target()}, CLASSES) == dict.fromkeys(MISTAKES, 0.0)


@pytest.mark.parametrize("seed", range(40))
def test_any_scene_has_the_costs_of_an_independent_implementation(seed):
    detections, targets = scene(np.random.default_rng(seed))
    found = costs(detections, targets, NAMES)
    assert list(found) == list(MISTAKES)
    assert found == pytest.approx(independent(detections, targets), abs=1e-12)


def scene(rng):
    """Images with objects, and detections that lie near them or anywhere; scores differ."""
    detections, targets = {}, {}
    scores = iter(rng.permutation(1000) / 1000)
    for image_id in "abcd":
        objects = [(int(rng.integers(1, 4)), box(rng), *["difficult"] * (rng.random() < 0.2)) for _ in range(3)]
        near = [
            (int(label if rng.random() < 0.6 else rng.integers(1, 4)), np.add(corners, rng.integers(-4, 5, 4)))
            for label, corners, *_ in objects * 2
            if rng.random() < 0.8
        ]
        other = [(int(rng.integers(1, 4)), box(rng)) for _ in range(3)]
        targets[image_id] = target(*objects)
        detections[image_id] = record(*[(*item, next(scores)) for item in near + other])
    return detections, targets


def box(rng):
    x, y = rng.integers(0, 30, 2)
    return [x, y, x + 12, y + 12]


def overlap(first, second):
    width = min(first[2], second[2]) - max(first[0], second[0])
    height = min(first[3], second[3]) - max(first[1], second[1])
    shared = max(width, 0) * max(height, 0)
    areas = [(one[2] - one[0]) * (one[3] - one[1]) for one in (first, second)]
    return shared / (sum(areas) - shared)


def independent(detections, targets):
    """Edit the detections and the objects, and evaluate the edited ones anew."""
    objects = [
        {"image": image_id, "box": list(map(float, row)), "label": int(label), "difficult": bool(difficult)}
        for image_id, of_image in targets.items()
        for row, label, difficult in zip(of_image["boxes"], of_image["labels"], of_image["difficult"], strict=True)
    ]
    found = [
        {"image": image_id, "box": list(map(float, row)), "label": int(label), "score": float(score)}
        for image_id, of_image in detections.items()
        for row, label, score in zip(of_image["boxes"], of_image["labels"], of_image["scores"], strict=True)
    ]
    found.sort(key=lambda item: -item["score"])
    before = evaluate(found, objects)
    taken = [item["object"] for item in found if item["kind"] == "correct"]
    return {kind: edited(kind, found, objects, taken) - before for kind in MISTAKES}


def edited(kind, found, objects, taken):
    if kind == "missed":
        touched = [item["object"] for item in found if item["kind"] in ("correct", "localisation", "confusion")]
        rest = [item for item in objects if item["difficult"] or any(item is other for other in touched)]
        classes = {item["label"] for item in objects if not item["difficult"]}
        left = {item["label"] for item in rest if not item["difficult"]}
        return mean([*[1.0] * len(classes - left), *by_class(found, rest).values()])
    taken, kept = taken + [item for item in objects if item["difficult"]], []
    for item in found:
        if item["kind"] != kind:
            kept.append(item)
        elif kind in ("localisation", "confusion") and not any(item["object"] is other for other in taken):
            taken.append(item["object"])
            kept.append({**item, "box": item["object"]["box"], "label": item["object"]["label"]})
    return mean(by_class([dict(item) for item in kept], objects).values())


def evaluate(found, objects):
    """Give each detection its kind and its object, and return mAP."""
    aps = by_class(found, objects)
    for item in found:
        near = [other for other in objects if other["image"] == item["image"]]
        near = [other for other in near if overlap(item["box"], other["box"]) >= 0.1]
        own = [other for other in near if other["label"] == item["label"]]
        best = max(own or near, key=lambda other: overlap(item["box"], other["box"]), default=None)
        item["object"] = best
        if item["outcome"] is not False:
            item["kind"] = "correct" if item["outcome"] else "ignored"
        elif own:
            item["kind"] = "duplicate" if overlap(item["box"], best["box"]) >= 0.5 else "localisation"
        else:
            item["kind"] = "confusion" if near else "background"
    return mean(aps.values())


def by_class(found, objects):
    """AP of each class with objects; sets `outcome` of each detection: True, False, or None if it is ignored."""
    taken, hits = [], {item["label"]: [] for item in objects if not item["difficult"]}
    for item in found:
        own = [other for other in objects if (other["image"], other["label"]) == (item["image"], item["label"])]
        best = max(own, key=lambda other: overlap(item["box"], other["box"]), default=None)
        item["outcome"] = False
        if best is not None and overlap(item["box"], best["box"]) >= 0.5:
            if best["difficult"]:
                item["outcome"] = None
            elif not any(best is other for other in taken):
                taken.append(best)
                item["outcome"] = True
        if item["outcome"] is not None and item["label"] in hits:
            hits[item["label"]].append(item["outcome"])
    counts = {label: sum(item["label"] == label and not item["difficult"] for item in objects) for label in hits}
    return {label: ap(outcomes, counts[label]) for label, outcomes in hits.items()}


def ap(outcomes, count):
    points = [(sum(outcomes[: end + 1]), sum(outcomes[: end + 1]) / (end + 1)) for end in range(len(outcomes))]
    levels = [max((share for hits, share in points if 10 * hits >= step * count), default=0.0) for step in range(11)]
    return sum(levels) / 11


def mean(values):
    values = list(values)
    return sum(values) / len(values)
