import time
import tracemalloc
from functools import partial

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from src.evaluation import bootstrap, proposal_recall, resampled_detections
from src.evaluation.average_precision import coco_ap, mean_ap, precision_recall, voc07
from src.evaluation.bootstrap import accuracy, draws, in_parts, interval, standard_error
from src.evaluation.outcomes import coco_outcomes, voc_outcomes
from src.evaluation.proposal_recall import best_overlaps
from src.evaluation.resampled_detections import COCO, VOC07, coco_map, of_detections, voc07_map
from src.evaluation.resampled_proposals import mabo, recall
from tests.evaluation.test_average_precision import data_sets, detected, target

CLASSES = ["car", "cat"]


def repeated(records, row):
    """A data set that holds real copies: image k of the sorted ids `row[k]` times."""
    times = zip(sorted(records), row.astype(int), strict=True)
    return {f"{image_id}#{copy}": records[image_id] for image_id, count in times for copy in range(count)}


def brute_force(detections, targets, row):
    found, truth = repeated(detections, row), repeated(targets, row)
    voc = [voc07(precision_recall(outcomes)[0]) for outcomes in voc_outcomes(found, truth, CLASSES).values()]
    return mean_ap(voc), mean_ap(coco_ap(coco_outcomes(found, truth, CLASSES)).values())


@settings(max_examples=60, deadline=None)
@given(data_sets(), st.integers(0, 1000), st.sampled_from([1, 30, 10_000]))
def test_average_precision_is_that_of_images_which_really_are_there_several_times(data_set, seed, at_once):
    detections, targets = data_set
    counts = draws(len(targets), resamples=4, seed=seed)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(resampled_detections, "AT_ONCE", at_once)  # all resamples together, and a few at a time
        voc = voc07_map(voc_outcomes(detections, targets, CLASSES), counts)
        coco = coco_map(coco_outcomes(detections, targets, CLASSES), counts)
    expected = [brute_force(detections, targets, row) for row in counts]
    np.testing.assert_allclose(np.stack([voc, coco], axis=1), expected, atol=1e-12)


@settings(max_examples=60, deadline=None)
@given(data_sets())
def test_each_image_drawn_once_gives_the_metric_itself(data_set):
    detections, targets = data_set
    once = np.ones((1, len(targets)))
    np.testing.assert_allclose(
        [
            voc07_map(voc_outcomes(detections, targets, CLASSES), once)[0],
            coco_map(coco_outcomes(detections, targets, CLASSES), once)[0],
        ],
        brute_force(detections, targets, once[0]),
        rtol=0,
        atol=1e-15,
    )


@settings(max_examples=60, deadline=None)
@given(data_sets(), st.integers(0, 1000))
def test_recall_and_mabo_are_those_of_images_which_really_are_there_several_times(data_set, seed):
    detections, targets = data_set
    boxes = {image_id: record["boxes"] for image_id, record in detections.items()}
    counts = draws(len(targets), resamples=4, seed=seed)
    covered = best_overlaps(boxes, targets)
    found = np.stack([recall(covered, 0.5, counts), mabo(covered, counts)], axis=1)
    for row, values in zip(counts, found, strict=True):
        really = best_overlaps(repeated(boxes, row), repeated(targets, row))
        expected = [proposal_recall.recall(really.overlaps, 0.5), proposal_recall.mabo(*really[:2])]
        np.testing.assert_allclose(values, expected, atol=1e-12)


def test_an_image_that_is_not_drawn_takes_its_detections_with_it():
    square = [0, 0, 10, 10]
    targets = {"a": target(square), "b": target(square), "c": target()}
    detections = {"a": detected(square, scores=[0.5]), "b": detected(), "c": detected(square, scores=[0.9])}
    counts = np.array([[3, 0, 0], [0, 3, 0], [2, 0, 1], [0, 0, 3]])
    found = voc07_map(voc_outcomes(detections, targets, ["car"]), counts)
    np.testing.assert_allclose(found, [1, 0, 2 / 3, np.nan])


@pytest.mark.parametrize("share", [0.5, 0.9, 1.0])
def test_the_standard_error_of_an_accuracy_is_that_of_the_binomial_distribution(share):
    right = np.arange(400) < 400 * share
    found = standard_error(accuracy(right, draws(400, resamples=4000)))
    assert found == pytest.approx(np.sqrt(share * (1 - share) / 400), rel=0.04)  # 4,000 resamples give it to 1 %


def test_draws_have_as_many_images_as_there_are_and_are_the_same_each_time():
    counts = draws(7)
    assert counts.shape == (bootstrap.RESAMPLES, 7)
    assert (counts.sum(axis=1) == 7).all()
    np.testing.assert_array_equal(counts, draws(7))
    assert (counts != draws(7, seed=1)).any()


def test_a_paired_difference_is_narrower_than_that_of_other_images():
    rng = np.random.default_rng(0)
    hard = rng.random(300)  # the difficulty of each image for both revisions
    old, new = (hard < limit for limit in (0.80, 0.82))
    counts, others = draws(300), draws(300, seed=1)
    low, high = interval(accuracy(new, counts) - accuracy(old, counts))
    wide = interval(accuracy(new, others) - accuracy(old, counts))
    assert 0 <= low < high < 0.06
    assert wide[1] - wide[0] > 2 * (high - low)


def test_the_interval_of_identical_outputs_is_a_point():
    values = accuracy(np.arange(50) < 30, draws(50))
    assert interval(values - values) == (0, 0)


NOTHING = {"a": target(), "b": target()}


def test_without_objects_there_is_no_figure_and_no_error():
    detections, counts = {"a": detected([0, 0, 9, 9]), "b": detected()}, draws(2)
    covered = best_overlaps({image_id: record["boxes"] for image_id, record in detections.items()}, NOTHING)
    for values in (
        voc07_map(voc_outcomes(detections, NOTHING, CLASSES), counts),
        coco_map(coco_outcomes(detections, NOTHING, CLASSES), counts),
        recall(covered, 0.5, counts),
        mabo(covered, counts),
    ):
        assert np.isnan(values).all()
        assert np.isnan([standard_error(values), *interval(values)]).all()


def test_without_detections_every_resample_is_zero():
    targets = {"a": target([0, 0, 9, 9]), "b": target([0, 0, 9, 9])}
    detections = dict.fromkeys(targets, detected())
    assert not voc07_map(voc_outcomes(detections, targets, ["car"]), draws(2)).any()
    assert not coco_map(coco_outcomes(detections, targets, ["car"]), draws(2)).any()


def test_a_single_image_has_no_spread():
    assert standard_error(accuracy(np.array([True]), draws(1))) == 0


def test_four_hundred_images_of_a_hundred_detections_take_seconds():
    rng = np.random.default_rng(0)
    images = {f"{number:03}": rng.integers(0, 200, (2, 2)) for number in range(400)}
    targets = {i: target(*np.hstack([at, at + 40]), labels=rng.integers(1, 5, 2).tolist()) for i, at in images.items()}
    detections = {}
    for image_id, at in images.items():
        corners = at[rng.integers(0, 2, 100)] + rng.integers(-15, 16, (100, 2))
        labels = rng.integers(1, 5, 100).tolist()
        detections[image_id] = detected(*np.hstack([corners, corners + 40]), scores=rng.random(100), labels=labels)
    outcomes = coco_outcomes(detections, targets, ["a", "b", "c", "d"])
    start = time.process_time()
    assert standard_error(coco_map(outcomes, draws(400))) > 0
    assert time.process_time() - start < 10  # 0.6 s on an idle core


def test_memory_does_not_grow_with_the_product_of_images_and_objects():
    square, images = [0, 0, 10, 10], [f"{number:04}" for number in range(3000)]
    targets, detections = dict.fromkeys(images, target(square)), dict.fromkeys(images, detected(square))
    outcomes, counts = voc_outcomes(detections, targets, ["car"]), draws(len(images), resamples=200)
    tracemalloc.start()
    assert (voc07_map(outcomes, counts) == 1).all()
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < len(images) ** 2 * 8  # a number for each image and object


@pytest.mark.parametrize("resamples", [1, 70])
def test_several_processes_give_the_bytes_of_one(resamples):
    detections, targets = some_detections()
    matched = {VOC07: voc_outcomes(detections, targets, CLASSES), COCO: coco_outcomes(detections, targets, CLASSES)}
    counts = draws(len(targets), resamples=resamples)
    alone = of_detections(matched, counts)
    together = in_parts(partial(of_detections, matched), counts, 2)
    assert list(together) == list(alone)
    assert all(together[name].tobytes() == values.tobytes() for name, values in alone.items())
    assert resamples < 2 or len(set(alone[COCO])) > 10


def some_detections():
    """Detections of 12 images, some of which find an object."""
    rng = np.random.default_rng(0)
    targets, detections = {}, {}
    for number in range(12):
        corners = rng.uniform(0, 60, (3, 2))
        boxes = np.concatenate([corners, corners + 30], axis=1).astype(np.float32)
        targets[str(number)] = {"boxes": boxes, "labels": rng.integers(1, 3, 3), "difficult": np.zeros(3, bool)}
        moved = boxes + rng.uniform(-8, 8, (3, 1)).astype(np.float32)
        scores = rng.random(3).astype(np.float32)
        detections[str(number)] = {"boxes": moved, "labels": rng.integers(1, 3, 3), "scores": scores}
    return detections, targets
