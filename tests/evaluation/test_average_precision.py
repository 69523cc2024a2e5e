import contextlib
import io

import numpy as np
import pytest
from faster_coco_eval import COCO, COCOeval_faster
from hypothesis import given, settings
from hypothesis import strategies as st

from src.evaluation.average_precision import Curve, coco_ap, coco_figures, mean_ap, thinned, voc07, voc12, voc_curves
from src.evaluation.outcomes import coco_outcomes

SQUARE = [0, 0, 10, 10]
HALF = [0, 0, 10, 5]  # its IoU with SQUARE is exactly 0.5
FAR = [50, 50, 60, 60]


def boxes_of(*rows):
    return np.array(rows, np.float32).reshape(-1, 4)


def target(*rows, labels=None, difficult=None):
    return {
        "boxes": boxes_of(*rows),
        "labels": np.array(labels or [1] * len(rows), np.int64),
        "difficult": np.array(difficult or [False] * len(rows), bool),
    }


def detected(*rows, scores=None, labels=None):
    scores = scores if scores is not None else np.linspace(1, 0.1, len(rows))
    return {
        "boxes": boxes_of(*rows),
        "labels": np.array(labels or [1] * len(rows), np.int64),
        "scores": np.array(scores, np.float32),
    }


def curve_of(detections, targets):
    return voc_curves(detections, targets, ["car"])["car"]


def coco_of(detections, targets, classes):
    return coco_ap(coco_outcomes(detections, targets, classes))


# Cases worked out by hand


def test_worked_example():
    # Five objects, and five detections, which are by falling score: true, false, true, true, false.
    targets = {"a": target(SQUARE, FAR), "b": target(SQUARE, FAR, [100, 0, 110, 10])}
    detections = {
        "a": detected(SQUARE, [20, 20, 30, 30], scores=[0.9, 0.8]),
        "b": detected(FAR, SQUARE, [0, 80, 10, 90], scores=[0.7, 0.6, 0.5]),
    }
    curve = curve_of(detections, targets)
    np.testing.assert_allclose(curve.recall, [0.2, 0.2, 0.4, 0.6, 0.6])
    np.testing.assert_allclose(curve.precision, [1, 1 / 2, 2 / 3, 3 / 4, 3 / 5])
    assert curve.objects == 5
    assert voc07(curve) == pytest.approx((3 * 1 + 4 * 3 / 4) / 11)  # recalls 0, 0.1, 0.2 | 0.3, ..., 0.6
    assert voc12(curve) == pytest.approx(0.2 * 1 + 0.4 * 3 / 4)


def test_eleven_points_include_a_recall_of_exactly_three_tenths():
    targets = {"a": target(*[[20 * k, 0, 20 * k + 10, 10] for k in range(10)])}
    curve = curve_of({"a": detected(*targets["a"]["boxes"][:3])}, targets)
    assert voc07(curve) == pytest.approx(4 / 11)


@pytest.mark.parametrize(("box", "found"), [(HALF, True), ([0, 0, 10, 4.99], False)])
def test_iou_of_exactly_the_threshold_counts(box, found):
    assert voc12(curve_of({"a": detected(box)}, {"a": target(SQUARE)})) == found


@pytest.mark.parametrize("times", [1, 3])
def test_detection_on_a_difficult_object_neither_helps_nor_hurts(times):
    targets = {"a": target(SQUARE, FAR, [80, 80, 90, 90], difficult=[False, True, False])}
    detections = {"a": detected(*[FAR] * times, SQUARE, [30, 30, 40, 40])}
    without = {"a": {name: array[times:] for name, array in detections["a"].items()}}
    curve, expected = curve_of(detections, targets), curve_of(without, targets)
    np.testing.assert_array_equal(curve.precision, expected.precision)
    np.testing.assert_array_equal(curve.recall, expected.recall)
    assert coco_of(detections, targets, ["car"]) == coco_of(without, targets, ["car"])
    assert curve.objects == 2
    assert voc12(curve) == 0.5


def test_image_without_objects_counts_its_false_positives():
    targets = {"a": target(SQUARE), "empty": target()}
    found = {"a": detected(SQUARE, scores=[0.5])}
    clean = {**found, "empty": detected()}
    dirty = {**found, "empty": detected(SQUARE, scores=[0.9])}
    assert voc12(curve_of(clean, targets)) == 1
    assert voc12(curve_of(dirty, targets)) == 0.5
    assert coco_of(dirty, targets, ["car"])["car"] == pytest.approx(0.5)


def test_other_class_is_not_matched():
    assert voc12(voc_curves({"a": detected(SQUARE, labels=[2])}, {"a": target(SQUARE)}, ["car", "cat"])["car"]) == 0


def test_images_that_are_not_evaluated_do_not_count():
    detections = {"a": detected(SQUARE), "other": detected(FAR, scores=[2.0])}
    assert voc12(curve_of(detections, {"a": target(SQUARE)})) == 1


def test_class_without_objects_has_no_ap_and_is_left_out_of_the_mean():
    targets = {"a": target(SQUARE, FAR, labels=[1, 2], difficult=[False, True])}
    detections = {"a": detected(SQUARE, FAR, FAR, labels=[1, 2, 3])}
    classes = ["car", "cat", "cow"]
    curves = voc_curves(detections, targets, classes)
    for ap in (voc07, voc12):
        values = {name: ap(curve) for name, curve in curves.items()}
        assert values["car"] == 1
        assert np.isnan([values["cat"], values["cow"]]).all()
        assert mean_ap(values.values()) == 1
    assert mean_ap(coco_of(detections, targets, classes).values()) == 1
    assert np.isnan(mean_ap([np.nan]))


def test_nothing_detected_is_zero():
    targets, nothing = {"a": target(SQUARE)}, {"a": detected()}
    curve = curve_of(nothing, targets)
    assert (voc07(curve), voc12(curve), coco_of(nothing, targets, ["car"])) == (0, 0, {"car": 0})


def test_only_the_hundred_best_detections_of_an_image_count_for_coco():
    # The true detection of class 1 ranks after 99 detections of class 2, and then after 100.
    for others, expected in ((99, 1.0), (100, 0.0)):
        scores = [0.1, *np.linspace(0.2, 0.9, others)]
        found = detected(SQUARE, *[FAR] * others, scores=scores, labels=[1] + [2] * others)
        assert coco_of({"a": found}, {"a": target(SQUARE)}, ["car", "cat"])["car"] == expected


def test_equal_scores_keep_the_order_of_the_file():
    targets = {"a": target(SQUARE)}
    assert voc12(curve_of({"a": detected(SQUARE, FAR, scores=[0.5, 0.5])}, targets)) == 1
    assert voc12(curve_of({"a": detected(FAR, SQUARE, scores=[0.5, 0.5])}, targets)) == 0.5


def test_thinned_curve():
    found = np.arange(2000) % 4 == 0
    true = np.cumsum(found)
    curve = Curve(true / 600, true / np.arange(1, 2001), objects=600)
    thin = thinned(curve, points=100)
    assert len(thin.recall) == 100
    assert set(zip(*thin[:2], strict=True)) <= set(zip(*curve[:2], strict=True))
    assert (thin.recall[0], thin.recall[-1]) == (1 / 600, 500 / 600)
    assert (np.diff(thin.recall) > 0).all()


@pytest.mark.parametrize(("objects", "points"), [(3, [0.0]), (0, [])])
def test_thinned_curve_of_a_class_that_was_never_found(objects, points):
    thin = thinned(Curve(np.zeros(4), np.zeros(4), objects))
    assert (thin.recall.tolist(), thin.precision.tolist()) == (points, points)


# Random data against other implementations


@st.composite
def data_sets(draw, labels=2):
    """Detections and targets, often on a coarse grid (many equal overlaps), ids in random order, no equal scores."""
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    ids = rng.permutation([f"{k:03}" for k in range(draw(st.integers(1, 5)))]).tolist()
    fine = draw(st.booleans())
    scores = rng.permutation(1000)
    detections, targets = {}, {}
    for k, image_id in enumerate(ids):
        objects, found = rng.integers(0, 6), rng.integers(0, 12)
        gt_boxes = random_boxes(rng, objects, fine)
        near = gt_boxes[rng.integers(0, max(objects, 1), found)] + rng.integers(-1, 2, (found, 4)) if objects else []
        rows = (
            np.where(rng.random((found, 1)) < 0.7, near, random_boxes(rng, found, fine))
            if objects
            else (random_boxes(rng, found, fine))
        )
        rows[:, 2:] = np.maximum(rows[:, 2:], rows[:, :2] + 1)
        targets[image_id] = target(
            *gt_boxes,
            labels=rng.integers(1, labels + 1, objects).tolist(),
            difficult=(rng.random(objects) < 0.3).tolist(),
        )
        detections[image_id] = detected(
            *rows, scores=scores[k * 20 : k * 20 + found] / 1000, labels=rng.integers(1, labels + 1, found).tolist()
        )
    return detections, targets


def random_boxes(rng, count, fine):
    corners = rng.random((count, 2)) * 12 if fine else rng.integers(0, 12, (count, 2))
    sides = rng.random((count, 2)) * 9 + 1 if fine else rng.integers(1, 10, (count, 2))
    return np.concatenate([corners, corners + sides], axis=1).astype(np.float32).astype(np.float64)


def slow_voc(detections, targets, label):
    """AP directly from the description in the development kit: a list of detections, and a set of taken objects."""
    rows = [
        (float(score), image_id, box)
        for image_id, record in detections.items()
        for box, given, score in zip(record["boxes"].tolist(), record["labels"], record["scores"], strict=True)
        if given == label
    ]
    truth = {
        image_id: [
            (box, bool(hard))
            for box, given, hard in zip(t["boxes"].tolist(), t["labels"], t["difficult"], strict=True)
            if given == label
        ]
        for image_id, t in targets.items()
    }
    total = sum(not hard for objects in truth.values() for _, hard in objects)
    if total == 0:
        return np.nan, np.nan
    taken, true, false, recall, precision = set(), 0, 0, [], []
    for _, image_id, box in sorted(rows, key=lambda row: -row[0]):
        best, overlap = None, -1.0
        for k, (gt_box, _) in enumerate(truth[image_id]):
            if slow_iou(box, gt_box) > overlap:
                best, overlap = k, slow_iou(box, gt_box)
        if overlap >= 0.5 and truth[image_id][best][1]:
            continue
        if overlap >= 0.5 and (image_id, best) not in taken:
            taken.add((image_id, best))
            true += 1
        else:
            false += 1
        recall.append(true / total)
        precision.append(true / (true + false))
    eleven = [max([p for r, p in zip(recall, precision, strict=True) if r >= k / 10], default=0) for k in range(11)]
    area, before = 0.0, 0.0
    for k, r in enumerate(recall):
        area += (r - before) * max(precision[k:])
        before = r
    return sum(eleven) / 11, area


def slow_iou(a, b):
    width, height = min(a[2], b[2]) - max(a[0], b[0]), min(a[3], b[3]) - max(a[1], b[1])
    shared = max(width, 0) * max(height, 0)
    return shared / ((a[2] - a[0]) * (a[3] - a[1]) + (b[2] - b[0]) * (b[3] - b[1]) - shared)


def coco_evaluator(detections, targets, label_count):
    """AP by class of a COCO evaluator, with difficult objects as crowds; nan if it has no AP."""
    precision = coco_evaluation(detections, targets, label_count).eval["precision"][:, :, :, 0, -1]
    return [np.nan if (p == -1).all() else p.mean() for p in np.moveaxis(precision, 2, 0)]  # [T, recalls, classes]


def coco_evaluation(detections, targets, label_count):
    numbers = {image_id: k for k, image_id in enumerate(sorted(targets), start=1)}
    annotations = [
        {"image_id": numbers[image_id], "category_id": int(label), "bbox": [x1, y1, x2 - x1, y2 - y1],
         "area": (x2 - x1) * (y2 - y1), "iscrowd": int(hard)}
        for image_id, t in targets.items()
        for (x1, y1, x2, y2), label, hard in zip(t["boxes"].tolist(), t["labels"], t["difficult"], strict=True)
    ]  # fmt: skip
    results = [
        {"image_id": numbers[image_id], "category_id": int(label), "bbox": [x1, y1, x2 - x1, y2 - y1],
         "score": float(score)}
        for image_id, d in detections.items()
        for (x1, y1, x2, y2), label, score in zip(d["boxes"].tolist(), d["labels"], d["scores"], strict=True)
    ]  # fmt: skip
    categories = [{"id": label, "name": str(label)} for label in range(1, label_count + 1)]
    images = [{"id": number, "width": 1000, "height": 1000} for number in numbers.values()]
    numbered = [{"id": k, **annotation} for k, annotation in enumerate(annotations, start=1)]
    with contextlib.redirect_stdout(io.StringIO()):
        truth = COCO({"images": images, "categories": categories, "annotations": numbered})
        evaluation = COCOeval_faster(truth, truth.loadRes(results), "bbox")
        evaluation.evaluate()
        evaluation.accumulate()
        evaluation.summarize()
    return evaluation


@settings(max_examples=150, deadline=None)
@given(data_sets())
def test_voc_ap_is_that_of_a_slow_reference(data_set):
    detections, targets = data_set
    for label, curve in enumerate(voc_curves(detections, targets, ["car", "cat"]).values(), start=1):
        np.testing.assert_allclose([voc07(curve), voc12(curve)], slow_voc(detections, targets, label), atol=1e-12)


@settings(max_examples=150, deadline=None)
@given(data_sets())
def test_coco_ap_is_that_of_a_coco_evaluator(data_set):
    detections, targets = data_set
    if not any(len(record["scores"]) for record in detections.values()):
        return  # the evaluator refuses an empty list
    ours = coco_of(detections, targets, ["car", "cat"])
    np.testing.assert_allclose(list(ours.values()), coco_evaluator(detections, targets, 2), atol=1e-12)


@settings(max_examples=150, deadline=None)
@given(data_sets(), st.sampled_from([3, 6, 12, 20]))
def test_the_twelve_figures_are_those_of_a_coco_evaluator(data_set, scale):
    """Boxes are 1 to 9 pixels wide before they are scaled, so areas lie on both sides of 32^2 and 96^2 and on them."""
    detections, targets = (
        {image_id: {**record, "boxes": record["boxes"] * np.float32(scale)} for image_id, record in records.items()}
        for records in data_set
    )
    if not any(len(record["scores"]) for record in detections.values()):
        return  # the evaluator refuses an empty list
    figures = coco_figures(detections, targets, ["car", "cat"])
    assert list(figures)[:6] == ["ap", "ap_50", "ap_75", "ap_small", "ap_medium", "ap_large"]
    assert list(figures)[6:] == ["ar_1", "ar_10", "ar_100", "ar_small", "ar_medium", "ar_large"]
    wanted = np.array(coco_evaluation(detections, targets, 2).stats[:12], float)
    np.testing.assert_allclose(list(figures.values()), np.where(wanted == -1, np.nan, wanted), atol=1e-12)


def test_the_figures_of_a_size_without_an_object_are_undefined():
    figures = coco_figures({"a": detected(SQUARE)}, {"a": target(SQUARE)}, ["car"])
    assert [name for name, value in figures.items() if np.isnan(value)] == [
        *("ap_medium", "ap_large", "ar_medium", "ar_large")
    ]


def test_equal_scores_of_many_images_go_by_image_id():
    # NumPy's default sort is stable only for short arrays.
    rng = np.random.default_rng(0)
    detections, targets = {}, {}
    for image_id in [f"{k:03}" for k in range(50)]:
        targets[image_id] = target(SQUARE)
        boxes = [SQUARE if rng.random() < 0.2 else FAR for _ in range(20)]
        detections[image_id] = detected(*boxes, scores=rng.integers(1, 4, 20) / 4)
    curve = curve_of(detections, targets)
    assert (voc07(curve), voc12(curve)) == pytest.approx(slow_voc(detections, targets, 1), abs=1e-12)


def test_of_equal_overlaps_coco_takes_the_last():
    # The first detection lies between both objects; the second fits one of them and, above an IoU of 2/3, only that.
    detections, other = {"a": detected([1, 0, 11, 10], SQUARE)}, [2, 0, 12, 10]
    aps = []
    for targets in ({"a": target(SQUARE, other)}, {"a": target(other, SQUARE)}):
        aps.append(coco_of(detections, targets, ["car"])["car"])
        assert aps[-1] == pytest.approx(coco_evaluator(detections, targets, 1)[0], abs=1e-12)
    assert aps[0] > aps[1]


@settings(max_examples=50, deadline=None)
@given(data_sets(), st.randoms(use_true_random=False))
def test_order_of_images_does_not_matter(data_set, random):
    detections, targets = data_set
    tied = {image_id: {**d, "scores": d["scores"].round(1)} for image_id, d in detections.items()}
    shuffled = random.sample(list(targets), len(targets))
    again = {image_id: targets[image_id] for image_id in shuffled}
    curves, others = (voc_curves(tied, t, ["car", "cat"]) for t in (targets, again))
    for name in curves:
        np.testing.assert_array_equal(curves[name].precision, others[name].precision)
    np.testing.assert_equal(coco_of(tied, targets, ["car", "cat"]), coco_of(tied, again, ["car", "cat"]))


@settings(max_examples=50, deadline=None)
@given(data_sets())
def test_perfect_detections_give_one(data_set):
    _, targets = data_set
    perfect = {image_id: detected(*t["boxes"], labels=t["labels"].tolist()) for image_id, t in targets.items()}
    curves = voc_curves(perfect, targets, ["car", "cat"])
    values = [voc07(c) for c in curves.values()] + [voc12(c) for c in curves.values()]
    values += coco_of(perfect, targets, ["car", "cat"]).values()
    assert all(np.isnan(value) or value == pytest.approx(1) for value in values)
    assert all(np.isnan(voc07(curve)) == (curve.objects == 0) for curve in curves.values())
