"""F1 by threshold and the confusion of detections, by hand and against plain loops that share no code with ours."""

import numpy as np
import pytest

from src.errors import InputError
from src.evaluation.thresholds import confusion, f1_curve
from tests.evaluation.test_costs import NAMES, by_class, overlap, scene
from tests.evaluation.test_mistakes import AWAY, CAR, CAT, CLASSES, OBJECT, SHIFTED, record, target


def test_counts_and_shares_at_each_threshold_by_hand() -> None:
    targets = {"a": target((CAR, OBJECT), (CAT, AWAY))}
    curve = f1_curve({"a": record((CAR, OBJECT, 0.75), (CAR, AWAY, 0.5), (CAT, AWAY, 0.25))}, targets, CLASSES)
    assert curve.thresholds.tolist() == [0.75, 0.5, 0.25]
    assert curve.precision.tolist() == [1, 1 / 2, 2 / 3]
    assert curve.recall.tolist() == [1 / 2, 1 / 2, 1]
    assert curve.f1 == pytest.approx([2 / 3, 1 / 2, 4 / 5])
    assert curve.best() == 2


def test_a_threshold_takes_all_detections_of_the_same_score() -> None:
    targets = {"a": target((CAR, OBJECT)), "b": target((CAR, OBJECT))}
    found = {"a": record((CAR, OBJECT, 0.5)), "b": record((CAR, AWAY, 0.5), (CAR, OBJECT, 0.5))}
    curve = f1_curve(found, targets, CLASSES)
    assert (curve.thresholds.tolist(), curve.true.tolist(), curve.kept.tolist()) == ([0.5], [2], [3])


def test_of_equal_f1_the_highest_threshold_is_best() -> None:
    """With two objects, one right detection of one and two right ones of four both have an F1 of 2/3."""
    targets = {"a": target((CAR, OBJECT), (CAT, AWAY))}
    found = {"a": record((CAR, OBJECT, 0.9), (CAR, SHIFTED, 0.8), (CAR, AWAY, 0.7), (CAT, AWAY, 0.5))}
    curve = f1_curve(found, targets, CLASSES)
    assert curve.f1[0] == curve.f1[-1] == pytest.approx(2 / 3)
    assert curve.best() == 0


def test_without_right_detections_there_is_no_best_threshold() -> None:
    for found, objects in (([], [(CAR, OBJECT)]), ([(CAR, AWAY, 0.9)], [(CAR, OBJECT)]), ([(CAR, AWAY, 0.9)], [])):
        assert f1_curve({"a": record(*found)}, {"a": target(*objects)}, CLASSES).best() is None
    assert f1_curve({}, {}, CLASSES).f1.tolist() == []
    assert confusion({}, {}, CLASSES, 0.5).tolist() == [[0, 0, 0]] * 3


@pytest.mark.parametrize(
    ("found", "row", "column"),
    [
        ([(CAR, OBJECT, 0.9)], "car", "car"),
        ([(CAT, OBJECT, 0.9)], "car", "cat"),
        ([(CAR, OBJECT, 0.4)], "car", "missed"),  # below the threshold
        ([], "car", "missed"),
    ],
)
def test_one_object_is_in_one_cell(found: list, row: str, column: str) -> None:
    counts = confusion({"a": record(*found)}, {"a": target((CAR, OBJECT))}, CLASSES, 0.5)
    assert counts[[*CLASSES, "nothing"].index(row), [*CLASSES, "missed"].index(column)] == counts.sum() == 1


def test_a_second_box_and_a_shifted_one_are_on_nothing() -> None:
    found = {"a": record((CAR, OBJECT, 0.9), (CAR, OBJECT, 0.8), (CAT, OBJECT, 0.7), (CAT, SHIFTED, 0.6))}
    counts = confusion(found, {"a": target((CAR, OBJECT))}, CLASSES, 0.5)
    assert counts.tolist() == [[1, 0, 0], [0, 0, 0], [1, 2, 0]]


def test_the_right_detection_gets_its_object_before_a_surer_one_of_another_class() -> None:
    found = {"a": record((CAT, OBJECT, 0.9), (CAR, OBJECT, 0.6))}
    assert confusion(found, {"a": target((CAR, OBJECT))}, CLASSES, 0.5).tolist() == [[1, 0, 0], [0, 0, 0], [0, 1, 0]]
    assert confusion(found, {"a": target((CAR, OBJECT))}, CLASSES, 0.7).tolist() == [[0, 1, 0], [0, 0, 0], [0, 0, 0]]


def test_difficult_objects_do_not_count() -> None:
    targets = {"a": target((CAR, OBJECT, "difficult"))}
    assert confusion({"a": record((CAR, OBJECT, 0.9))}, targets, CLASSES, 0.5).sum() == 0
    assert f1_curve({"a": record((CAR, OBJECT, 0.9))}, targets, CLASSES).kept.tolist() == []


def test_a_label_beyond_the_classes_is_refused() -> None:
    for count in (f1_curve, lambda *given: confusion(*given, 0.5)):
        with pytest.raises(InputError, match="label 3"):
            count({"a": record((3, OBJECT, 0.9))}, {"a": target()}, CLASSES)


@pytest.mark.parametrize("seed", range(30))
def test_any_scene_has_the_counts_of_plain_loops(seed: int) -> None:
    detections, targets = scene(np.random.default_rng(seed))
    curve = f1_curve(detections, targets, NAMES)
    for place in range(0, len(curve.thresholds), 4):
        threshold = curve.thresholds[place]
        expected = independent(detections, targets, threshold)
        found = confusion(detections, targets, NAMES, threshold)
        assert found.tolist() == expected
        assert found.trace() == curve.true[place]
        assert found[:, :-1].sum() == curve.kept[place]
        assert found[:-1].sum() == curve.objects


def independent(detections, targets, threshold):
    """Discard the detections below the threshold first, and then match what is left."""
    counts = [[0] * (len(NAMES) + 1) for _ in range(len(NAMES) + 1)]
    for image_id, of_image in targets.items():
        objects = [
            {"image": image_id, "box": list(map(float, box)), "label": int(label), "difficult": bool(difficult)}
            for box, label, difficult in zip(of_image["boxes"], of_image["labels"], of_image["difficult"], strict=True)
        ]
        rows = zip(*(detections[image_id][key] for key in ("boxes", "labels", "scores")), strict=True)
        found = [
            {"image": image_id, "box": list(map(float, box)), "label": int(label), "score": float(score)}
            for box, label, score in rows
            if score >= threshold
        ]
        found.sort(key=lambda item: -item["score"])
        by_class(found, objects)  # sets `outcome`
        free = [item for item in objects if not item["difficult"]]
        for item in [item for item in found if item["outcome"]]:
            own = [other for other in free if other["label"] == item["label"]]
            free.remove(max(own, key=lambda other: overlap(item["box"], other["box"])))
            counts[item["label"] - 1][item["label"] - 1] += 1
        for item in [item for item in found if item["outcome"] is False]:
            others = [other for other in free if other["label"] != item["label"]]
            best = max(others, key=lambda other: overlap(item["box"], other["box"]), default=None)
            if best is not None and overlap(item["box"], best["box"]) >= 0.5:
                free.remove(best)
                counts[best["label"] - 1][item["label"] - 1] += 1
            else:
                counts[-1][item["label"] - 1] += 1
        for other in free:
            counts[other["label"] - 1][-1] += 1
    return counts
