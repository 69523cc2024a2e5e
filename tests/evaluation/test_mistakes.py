import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from src.errors import InputError
from src.evaluation.average_precision import voc_curves
from src.evaluation.mistakes import CORRECT, MISSED, MISTAKES, NO_OBJECT, counts, findings

CLASSES = ["car", "cat"]
CAR, CAT = 1, 2
OBJECT = [0, 0, 10, 10]
SHIFTED = [5, 0, 15, 10]  # IoU 1/3 with OBJECT
TOUCHING = [9, 0, 19, 10]  # IoU 1/19
AWAY = [50, 50, 60, 60]


def target(*rows):
    """Objects from (label, box) or (label, box, difficult)."""
    return {
        "boxes": np.array([row[1] for row in rows], np.float32).reshape(-1, 4),
        "labels": np.array([row[0] for row in rows], np.int64),
        "difficult": np.array([bool(row[2:]) for row in rows], bool),
    }


def record(*rows):
    """Detections from (label, box, score)."""
    return {
        "boxes": np.array([row[1] for row in rows], np.float32).reshape(-1, 4),
        "labels": np.array([row[0] for row in rows], np.int64),
        "scores": np.array([row[2] for row in rows], np.float32),
    }


def kinds(found):
    return [item.kind for item in found]


@pytest.mark.parametrize(
    ("box", "kind", "gt"),
    [
        (OBJECT, "correct", 0),
        ([0, 0, 10, 5], "correct", 0),  # an IoU of exactly 0.5
        (SHIFTED, "localisation", 0),
        ([0, 0, 10, 1], "localisation", 0),  # an IoU of exactly 0.1
        (TOUCHING, "background", NO_OBJECT),
        (AWAY, "background", NO_OBJECT),
    ],
)
def test_a_detection_in_an_image_with_one_object_of_its_class(box, kind, gt):
    found = findings({"a": record((CAR, box, 0.9))}, {"a": target((CAR, OBJECT))}, CLASSES)[0]
    assert (found.kind, found.gt, found.image_id, found.label) == (kind, gt, "a", CAR)
    assert found.score == pytest.approx(0.9)


def test_an_object_of_another_class_is_confused_from_an_iou_of_a_tenth():
    targets = {"a": target((CAT, OBJECT), (CAR, AWAY))}
    for box, kind in [(OBJECT, "confusion"), (SHIFTED, "confusion"), (TOUCHING, "background")]:
        found = findings({"a": record((CAR, box, 0.9))}, targets, CLASSES)
        assert kinds(found)[0] == kind


def test_an_overlap_with_its_own_class_comes_before_a_larger_one_with_another():
    targets = {"a": target((CAR, OBJECT), (CAT, SHIFTED))}
    found = findings({"a": record((CAR, SHIFTED, 0.9))}, targets, CLASSES)
    assert found[0].kind == "localisation"
    assert found[0].iou == pytest.approx(1 / 3)


def test_the_second_detection_of_an_object_is_a_duplicate():
    targets = {"a": target((CAR, OBJECT), (CAR, AWAY))}
    found = findings({"a": record((CAR, OBJECT, 0.8), (CAR, [0, 0, 10, 9], 0.9))}, targets, CLASSES)
    assert kinds(found) == ["correct", "duplicate", "missed"]
    assert found[0].score == pytest.approx(0.9)


def test_only_as_many_detections_as_there_are_objects_are_looked_at():
    detections = {"a": record(*[(CAR, AWAY, 0.9 - k / 100) for k in range(5)]), "b": record((CAR, OBJECT, 0.1))}
    found = findings(detections, {"a": target(), "b": target((CAR, OBJECT))}, CLASSES)
    assert kinds(found) == ["background", "missed"]


def test_a_class_without_objects_is_not_looked_at():
    assert findings({"a": record((CAR, OBJECT, 0.9))}, {"a": target()}, CLASSES) == []


def test_a_detection_of_a_difficult_object_takes_no_rank_and_the_object_is_never_missed():
    targets = {"a": target((CAR, AWAY, True), (CAR, OBJECT))}
    found = findings({"a": record((CAR, AWAY, 0.9), (CAR, AWAY, 0.8), (CAR, OBJECT, 0.1))}, targets, CLASSES)
    assert kinds(found) == ["correct"]
    assert kinds(findings({"a": record()}, targets, CLASSES)) == ["missed"]


def test_an_object_that_was_misplaced_or_confused_is_not_missed_too():
    for label, box in [(CAR, SHIFTED), (CAT, OBJECT)]:
        targets = {"a": target((CAR, OBJECT)), "b": target((CAT, AWAY))}
        found = findings({"a": record((label, box, 0.9)), "b": record()}, targets, CLASSES)
        assert not [item for item in found if item.kind == MISSED and item.image_id == "a"]


def test_the_worst_come_first():
    targets = {"a": target((CAR, OBJECT), (CAR, [20, 20, 90, 90])), "b": target((CAR, OBJECT), (CAR, SHIFTED))}
    found = findings({"a": record(), "b": record((CAR, AWAY, 0.2), (CAR, AWAY, 0.7))}, targets, CLASSES)
    assert [item.score for item in found if item.kind == "background"] == pytest.approx([0.7, 0.2])
    areas = [float(np.prod(item.box[2:] - item.box[:2])) for item in found if item.kind == MISSED]
    assert areas == sorted(areas, reverse=True)


def test_nothing_at_all():
    assert findings({}, {}, CLASSES) == []


def test_a_label_beyond_the_classes_is_refused():
    with pytest.raises(InputError, match="label 3"):
        findings({"a": record((3, OBJECT, 0.9))}, {"a": target((CAR, OBJECT))}, CLASSES)


coordinates = st.integers(0, 12)
boxes = st.builds(lambda x, y, w, h: [x, y, x + w + 1, y + h + 1], *[coordinates] * 4)
labels = st.sampled_from([CAR, CAT])
objects = st.lists(st.one_of(st.tuples(labels, boxes), st.tuples(labels, boxes, st.just(True))), max_size=4)
detected = st.lists(st.tuples(labels, boxes, st.integers(0, 20).map(lambda score: score / 20)), max_size=8)
scenes = st.lists(st.tuples(objects, detected), min_size=1, max_size=4)


def of_scenes(scenes):
    targets = {str(number): target(*rows) for number, (rows, _) in enumerate(scenes)}
    return {str(number): record(*rows) for number, (_, rows) in enumerate(scenes)}, targets


@given(scenes)
def test_every_object_is_found_or_behind_a_mistake_and_no_more_is_looked_at_than_there_are(scenes):
    detections, targets = of_scenes(scenes)
    found = findings(detections, targets, CLASSES)
    for label in (CAR, CAT):
        number = counts(found, label)
        wanted = sum(int((~item["difficult"][item["labels"] == label]).sum()) for item in targets.values())
        assert sum(number.values()) - number[MISSED] <= wanted
        assert number[CORRECT] + number[MISSED] <= wanted
    concerned = {(item.image_id, item.gt) for item in found}
    for image_id, item in targets.items():
        assert {(image_id, gt) for gt in np.flatnonzero(~item["difficult"])} <= concerned
    assert sum(counts(found).values()) == len(found)


@given(scenes)
def test_the_correct_ones_are_those_of_the_precision_recall_curve(scenes):
    """The curve of the evaluation at rank N gives the number of correct detections among the first N."""
    detections, targets = of_scenes(scenes)
    found = findings(detections, targets, CLASSES)
    for label, curve in enumerate(voc_curves(detections, targets, CLASSES).values(), start=1):
        rank = min(curve.objects, len(curve.recall))
        right = round(curve.recall[rank - 1] * curve.objects) if rank else 0
        assert counts(found, label)[CORRECT] == right


@given(scenes)
def test_the_order_of_images_has_no_influence(scenes):
    detections, targets = of_scenes(scenes)
    backwards = {image_id: targets[image_id] for image_id in reversed(targets)}
    one, other = findings(detections, targets, CLASSES), findings(detections, backwards, CLASSES)
    assert [(item.kind, item.image_id, item.label, item.gt) for item in one] == [
        (item.kind, item.image_id, item.label, item.gt) for item in other
    ]


@given(scenes)
def test_detections_that_are_the_objects_leave_no_mistake(scenes):
    _, targets = of_scenes(scenes)
    # One object per box and class: of two objects in the same place, the matching would find only one, and the second
    # detection would be a duplicate.
    targets = {
        image_id: target(*{(int(label), tuple(box)): None for label, box in zip(*pair, strict=True)})
        for image_id, item in targets.items()
        for pair in [(item["labels"], item["boxes"].tolist())]
    }
    perfect = {
        image_id: record(*((label, box, 1.0) for label, box in zip(item["labels"], item["boxes"], strict=True)))
        for image_id, item in targets.items()
    }
    assert not sum(counts(findings(perfect, targets, CLASSES))[kind] for kind in MISTAKES)
