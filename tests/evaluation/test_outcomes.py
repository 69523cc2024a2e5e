import time
import tracemalloc

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from src.errors import InputError
from src.evaluation import outcomes as module
from src.evaluation.average_precision import voc_curves
from src.evaluation.outcomes import FALSE, IGNORED, TRUE, check_labels, coco_outcomes, voc_outcomes
from tests.evaluation import one_image_at_a_time
from tests.evaluation.test_average_precision import FAR, SQUARE, data_sets, detected, target

CLASSES = ["car", "cat"]


def of_image(evaluate, record, truth):
    """The outcomes [T, A] of the cars of a single image."""
    return evaluate({"a": record}, {"a": truth}, ["car"])["car"].outcomes


# Cases worked out by hand


def test_no_plus_one_in_sides():
    # The IoU is 1 / 2.5; with `+ 1` in the sides it would be 4 / 7 and the detection true.
    assert of_image(voc_outcomes, detected([0, 0, 1, 1]), target([0, 0, 1, 2.5])).tolist() == [[FALSE]]


def test_second_detection_of_an_object_is_false():
    assert of_image(voc_outcomes, detected(SQUARE, SQUARE), target(SQUARE)).tolist() == [[TRUE, FALSE]]


def test_detection_whose_best_object_is_taken_does_not_go_to_the_next():
    # VOC looks only at the best object; COCO lets the second detection have the other one.
    twice, objects = detected(SQUARE, SQUARE), target(SQUARE, [2, 0, 12, 10])
    assert of_image(voc_outcomes, twice, objects).tolist() == [[TRUE, FALSE]]
    assert of_image(coco_outcomes, twice, objects)[0].tolist() == [TRUE, TRUE]


def test_coco_outcomes_of_a_detection_inside_a_difficult_object():
    # A detection inside a difficult object is ignored at every threshold, although the IoU is 0.25, as with a crowd.
    # Objects that count are matched first.
    inside = detected([0, 0, 5, 5])
    assert of_image(coco_outcomes, inside, target(SQUARE, difficult=[True]))[:, 0].tolist() == [IGNORED] * 10
    both = of_image(coco_outcomes, inside, target(SQUARE, [0, 0, 5, 6], difficult=[True, False]))[:, 0]
    assert both.tolist() == [TRUE] * 7 + [IGNORED] * 3  # IoU 0.83 with the second


@pytest.mark.parametrize("evaluate", [voc_outcomes, coco_outcomes])
def test_each_detection_keeps_its_image_and_its_row(evaluate):
    detections = {
        "b": detected(SQUARE, FAR, SQUARE, scores=[0.3, 0.9, 0.5], labels=[1, 2, 1]),
        "a": detected(FAR, FAR, scores=[0.1, 0.4], labels=[2, 1]),
    }
    cars = evaluate(detections, {"b": target(SQUARE), "a": target()}, CLASSES)["car"]
    assert (cars.images.tolist(), cars.rows.tolist()) == ([1, 0, 1], [2, 1, 0])
    assert (cars.outcomes[0].tolist(), cars.objects.tolist()) == ([TRUE, FALSE, FALSE], [0, 1])


@pytest.mark.parametrize("evaluate", [voc_outcomes, coco_outcomes])
def test_without_detections_or_objects_there_are_no_outcomes(evaluate):
    found = evaluate({"a": detected()}, {"a": target()}, CLASSES)
    assert [of_class.outcomes.shape[1] for of_class in found.values()] == [0, 0]
    assert [of_class.objects.tolist() for of_class in found.values()] == [[0], [0]]
    assert evaluate({"a": detected()}, {"a": target()}, []) == {}


@pytest.mark.parametrize("label", [0, 3])
def test_label_outside_the_class_list_is_an_error(label):
    detections = {"000004": detected(SQUARE), "000005": detected(SQUARE, SQUARE, labels=[1, label])}
    with pytest.raises(InputError, match=f"some.npz: image 000005 .* label {label}, .* labels 1 to 2"):
        check_labels(detections, 2, "some.npz")
    for evaluate in (voc_curves, coco_outcomes):
        with pytest.raises(InputError, match="label"):
            evaluate(detections, {"000005": target(SQUARE)}, CLASSES)


# Random data against a loop over images


def assert_same(found, expected):
    assert found.keys() == expected.keys()
    for name, arrays in expected.items():
        of_class = found[name]
        for ours, theirs in zip((of_class.outcomes, of_class.images, of_class.objects), arrays, strict=True):
            np.testing.assert_array_equal(ours, theirs)


@settings(max_examples=150, deadline=None)
@given(data_sets(), st.booleans(), st.sampled_from([0.0, 0.3, 0.5, 0.7]), st.sampled_from([2, module.PAIRS_AT_ONCE]))
def test_outcomes_are_those_of_a_loop_over_images(data_set, tied, iou_thresh, pairs_at_once):
    detections, targets = data_set
    if tied:
        detections = {image_id: {**d, "scores": d["scores"].round(1)} for image_id, d in detections.items()}
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(module, "PAIRS_AT_ONCE", pairs_at_once)
        voc, coco = voc_outcomes(detections, targets, CLASSES, iou_thresh), coco_outcomes(detections, targets, CLASSES)
    assert_same(voc, one_image_at_a_time.voc_outcomes(detections, targets, CLASSES, iou_thresh))
    assert_same(coco, one_image_at_a_time.coco_outcomes(detections, targets, CLASSES))


def crowded(images, objects, found, labels, seed=0):
    """Images full of boxes near to objects, with scores that are often equal."""
    rng = np.random.default_rng(seed)
    detections, targets = {}, {}
    for image_id in [f"{k:04}" for k in range(images)]:
        at = rng.integers(0, 300, (objects, 2))
        gt_labels, chosen = rng.integers(1, labels + 1, objects), rng.integers(0, objects, found)
        corners = at[chosen] + rng.integers(-6, 7, (found, 2))
        scores = rng.integers(1, 500, found) / 500
        difficult = (rng.random(objects) < 0.2).tolist()
        targets[image_id] = target(*np.hstack([at, at + 40]), labels=gt_labels.tolist(), difficult=difficult)
        detections[image_id] = detected(
            *np.hstack([corners, corners + 40]), scores=scores, labels=gt_labels[chosen].tolist()
        )
    return detections, targets


def test_outcomes_of_crowded_images_are_those_of_a_loop_over_images():
    detections, targets = crowded(images=12, objects=25, found=180, labels=2)
    assert_same(
        voc_outcomes(detections, targets, CLASSES), one_image_at_a_time.voc_outcomes(detections, targets, CLASSES)
    )
    assert_same(
        coco_outcomes(detections, targets, CLASSES), one_image_at_a_time.coco_outcomes(detections, targets, CLASSES)
    )


@pytest.mark.parametrize("evaluate", ["voc_outcomes", "coco_outcomes"])
def test_images_are_matched_together_in_a_fraction_of_the_time_of_a_loop(evaluate):
    classes = [str(label) for label in range(1, 21)]
    data_set = crowded(images=300, objects=3, found=60, labels=len(classes))
    seconds = []
    for code in (module, one_image_at_a_time):
        start = time.process_time()
        getattr(code, evaluate)(*data_set, classes)
        seconds.append(time.process_time() - start)
    assert seconds[0] < seconds[1] / 2  # about a tenth


def test_memory_does_not_grow_with_the_product_of_detections_and_objects(monkeypatch):
    # 20 images with 400 detections and 200 objects of one class: 1.6 million pairs, of which 40,000 at once.
    monkeypatch.setattr(module, "PAIRS_AT_ONCE", 40_000)
    detections, targets = crowded(images=20, objects=200, found=400, labels=1)
    tracemalloc.start()
    voc_outcomes(detections, targets, ["car"])
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < 1_600_000 * 8 * 2  # two numbers for each pair; a pair takes some 200 bytes while it is measured
