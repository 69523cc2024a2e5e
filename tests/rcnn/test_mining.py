from collections.abc import Iterable
from functools import partial
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
from pydantic import ValidationError

from src.errors import InputError
from src.rcnn import coordinate_descent, mining
from src.rcnn.held import Held
from src.rcnn.mining import Candidates, TrainSvm, candidates, mine, scores
from src.rcnn.planes import take
from src.rcnn.solvers import Fit, Plane, objective
from tests.files.test_room import leave
from tests.rcnn.regions import record, target

CAR, DOG, FAR = [0.0, 0, 10, 10], [30.0, 30, 50, 50], [80.0, 80, 90, 90]
TARGETS = {
    "car_and_dog": target([CAR, DOG], [1, 2]),
    "none": target([], []),
    "all_positive": target([CAR], [1]),
    "dog": target([DOG], [2]),
}
REGIONS = {
    "car_and_dog": record([CAR, DOG], [FAR, [0, 0, 10, 3], [0, 0, 10, 2], [0, 0, 10, 9]]),
    "none": record([], [FAR, CAR]),
    "all_positive": record([CAR], []),
    "dog": record([DOG], [CAR]),
}
ROWS = [(image_id, tuple(box)) for image_id, entry in REGIONS.items() for box in entry["boxes"].tolist()]


def test_rows_are_those_of_the_right_boxes_in_spite_of_images_without_positives_or_negatives(
    svm_rules: TrainSvm,
) -> None:
    """The published code counts an image without negatives among the positives, and shifts all images after it."""
    cars, dogs = (candidates(REGIONS, TARGETS, label, svm_rules) for label in (1, 2))
    assert [ROWS[row] for row in cars.positives] == [("car_and_dog", tuple(CAR)), ("all_positive", tuple(CAR))]
    assert [ROWS[row] for row in dogs.positives] == [("car_and_dog", tuple(DOG)), ("dog", tuple(DOG))]
    assert [ROWS[row] for row in cars.pool] == [
        ("car_and_dog", tuple(DOG)),
        ("car_and_dog", tuple(FAR)),
        ("car_and_dog", (0, 0, 10, 2)),  # IoU 0.2; regions with 0.3 and 0.9 are no negatives
        ("none", tuple(FAR)),
        ("none", tuple(CAR)),
        ("dog", tuple(DOG)),
        ("dog", tuple(CAR)),
    ]


def test_mirrored_true_boxes_are_positives_of_their_class_too(svm_rules: TrainSvm) -> None:
    boxes = np.array([CAR, DOG, FAR, CAR, DOG], np.float32)
    regions = {"none": REGIONS["none"], "a": {"boxes": boxes, "is_gt": np.array([1, 1, 0, 1, 1], bool)}}
    regions["a"]["flipped"] = np.array([0, 0, 0, 1, 1], bool)
    targets = {"none": TARGETS["none"], "a": target([CAR, DOG], [1, 2])}
    cars, dogs = (candidates(regions, targets, label, svm_rules) for label in (1, 2))
    assert cars.positives.tolist() == [2, 5]
    assert dogs.positives.tolist() == [3, 6]
    assert cars.pool.tolist() == [0, 1, 3, 4, 6]


@pytest.mark.parametrize(
    ("changes", "kept"),
    [
        ({"neg_iou_zero": False}, [("car_and_dog", (0, 0, 10, 2))]),
        ({"only_images_with_objects": True}, [("car_and_dog", tuple(b)) for b in (DOG, FAR, [0, 0, 10, 2])]),
        ({"only_images_with_objects": True, "neg_min_area": 0.2}, [("car_and_dog", tuple(b)) for b in (DOG, FAR)]),
    ],
)
def test_the_tutorials_rules_leave_negatives_out(svm_rules: TrainSvm, changes: dict, kept: list) -> None:
    pool = candidates(REGIONS, TARGETS, 1, svm_rules.model_copy(update=changes)).pool
    assert [ROWS[row] for row in pool] == kept


def test_difficult_objects_are_neither_positive_nor_negative(svm_rules: TrainSvm) -> None:
    targets = {"a": target([CAR, DOG, [60, 60, 70, 70]], [1, 2, 1], [True, True, False])}
    near_car, near_dog = [0, 0, 10, 8], [30, 30, 50, 48]
    regions = {"a": record([[60, 60, 70, 70]], [CAR, near_car, near_dog, FAR])}
    found = candidates(regions, targets, 1, svm_rules)
    assert found.positives.tolist() == [0]
    assert found.pool.tolist() == [3, 4]  # a difficult dog is a negative of the cars
    assert candidates(regions, targets, 2, svm_rules).positives.tolist() == []


def test_a_class_without_objects_has_negatives_alone_and_no_image_has_neither(svm_rules: TrainSvm) -> None:
    found = candidates({"none": REGIONS["none"]}, TARGETS, 1, svm_rules)
    assert (found.positives.tolist(), found.pool.tolist()) == ([], [0, 1])
    found = candidates({}, {}, 1, svm_rules)
    assert (len(found.positives), len(found.pool)) == (0, 0)


def test_the_same_rectangle_in_two_images_is_two_negatives(svm_rules: TrainSvm) -> None:
    targets = {"a": target([CAR], [1]), "b": target([], [])}
    regions = {"a": record([CAR], [FAR]), "b": record([], [FAR])}
    pool = candidates(regions, targets, 1, svm_rules).pool
    held = Held(np.zeros(0, int))
    held.add(pool, np.array([0.5, 0.5]), 10)
    assert held.rows.tolist() == [1, 2]
    assert held.newly_hard == 2
    boxes = np.concatenate([entry["boxes"] for entry in regions.values()])
    assert len({tuple(box) for box in boxes[held.rows]}) == 1  # the published key would keep only one


@pytest.mark.parametrize("count", [0, 1, 7, 8, 9, 27])
def test_scores_by_blocks_are_one_product(count: int, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr("src.rcnn.planes.BLOCK", 8)
    rng = np.random.default_rng(0)
    features = rng.normal(size=(count, 6)).astype(np.float16)
    np.save(tmp_path / "features.npy", features)
    planes = [Plane(rng.normal(size=6).astype(np.float32), float(bias)) for bias in range(3)]
    scale = np.array([0.5, 1, 2, 0.1, 3, 1], np.float32)
    whole = (scale * features.astype(np.float64)) @ np.stack([plane.weight for plane in planes], 1) + np.arange(3)
    stored = np.load(tmp_path / "features.npy", mmap_mode="r")
    found = scores(stored, planes, scale)
    assert found.dtype == np.float32
    np.testing.assert_allclose(found, whole, atol=1e-5)


@pytest.mark.parametrize("count", [0, 1, 2, 3, 7])
def test_scattered_rows_are_read_in_parts(count: int, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr("src.rcnn.planes.PART", 2)
    features = np.random.default_rng(0).normal(size=(9, 4)).astype(np.float16)
    np.save(tmp_path / "features.npy", features)
    rows = np.array([8, 0, 3, 3, 5, 7, 1])[:count]
    for stored in (features, np.load(tmp_path / "features.npy", mmap_mode="r")):
        taken = take(stored, rows)
        assert taken.dtype == np.float32
        np.testing.assert_array_equal(taken, features[rows])
        factors = np.array([0.5, 1, 2, 1 / 3], np.float32)
        np.testing.assert_array_equal(take(stored, rows, factors), features[rows].astype(np.float32) * factors)


def test_classes_are_fitted_side_by_side_as_one_after_the_other(svm_rules: TrainSvm, tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    np.save(tmp_path / "features.npy", rng.normal(size=(600, 30)).astype(np.float16))
    stored = np.load(tmp_path / "features.npy", mmap_mode="r")
    classes = [Candidates(np.arange(10 * n, 10 * n + 10), np.arange(40, 600)) for n in range(4)]
    rules = svm_rules.model_copy(update={"first_negatives": 100, "rounds": 1})
    solver = partial(coordinate_descent.fit, c=1.0, weight=2.0, bias_multiplier=10.0, seed=0)
    alone, together = (
        list(mine(stored, np.ones(30, np.float32), classes, solver, rules, seed=0, jobs=jobs)) for jobs in (1, 2)
    )
    assert [table for _, table in alone] == [table for _, table in together]
    for plane, other in zip(alone[-1][0], together[-1][0], strict=True):
        np.testing.assert_array_equal(plane.weight, other.weight)


def shifted(x: np.ndarray, duals: np.ndarray, bias: float) -> Fit:
    """Return a plane whose scores are the features themselves plus the bias."""
    return Fit(Plane(np.ones(1, np.float32), bias), x[:, 0] + np.float32(bias), duals, True)


def fixed(x: np.ndarray, _: np.ndarray, duals: np.ndarray) -> Fit:
    return shifted(x, duals, 0.0)


def line(values: list[float]) -> np.ndarray:
    return np.array(values, np.float16)[:, None]


def run(values: list[float], pool: range, rules: TrainSvm, solver: mining.Solver = fixed) -> list[mining.Round]:
    """Mine one class whose only positive is row 0, and return its rounds."""
    kind = Candidates(np.array([0]), np.array(pool))
    return [table[0] for _, table in mine(line(values), np.ones(1, np.float32), [kind], solver, rules, seed=0)]


def test_hard_negatives_are_found_in_the_first_block_and_in_the_last_partial_one(
    svm_rules: TrainSvm, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("src.rcnn.planes.BLOCK", 8)
    values = [3.0, 0.5, *[-1.1] * 24, 0.5]  # 27 rows: three whole blocks and three rows
    rules = svm_rules.model_copy(update={"first_negatives": 2})
    rounds = run(values, range(1, 27), rules)
    assert rounds[0].newly_hard == 2  # only the last block, or all but the last block, would give 1
    assert [(row.negatives, row.fits) for row in rounds] == [(4, 2), (4, 0)]


def test_the_pools_accuracy_counts_its_last_rows(svm_rules: TrainSvm, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("src.rcnn.planes.BLOCK", 4)
    values = [3.0, *[-2.0] * 8, 0.5, 0.5]  # the two wrong rows are in the last, partial block
    assert run(values, range(1, 11), svm_rules)[0].pool_accuracy == pytest.approx(8 / 10)


def test_fits_that_would_not_fit_into_memory_are_refused_before_the_first(
    svm_rules: TrainSvm, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each of two fits at once may have 10 positives and 100 negatives of 50 numbers: 22,000 bytes."""
    rules = svm_rules.model_copy(update={"max_held": 100, "first_negatives": 1})
    classes = [Candidates(np.arange(10), np.arange(10, 500)), Candidates(np.arange(5), np.arange(10, 20))]
    monkeypatch.setattr(mining, "parallel_map", lambda *_: pytest.fail("a fit began"))
    for jobs, needed in ((1, 22_000), (8, 44_000)):
        leave(monkeypatch, 0, memory=needed - 1)
        words = rf"^{min(jobs, 2)} SVMs at once, each with at most 110 regions of 50 numbers, need .* set JOBS"
        with pytest.raises(InputError, match=words):
            next(mine(np.zeros((500, 50), np.float16), np.ones(50), classes, fixed, rules, seed=0, jobs=jobs))


def test_mining_stops_when_nothing_is_new(svm_rules: TrainSvm) -> None:
    rounds = run([3.0, *[-5.0] * 20], range(1, 21), svm_rules)
    assert [(row.newly_hard, row.fits) for row in rounds] == [(0, 1)]
    rounds = run([3.0, 0.5, *[-1.1] * 40], range(1, 42), svm_rules.model_copy(update={"first_negatives": 3}))
    assert [row.newly_hard for row in rounds] == [1, 0]


def with_biases(biases: Iterable[float]) -> mining.Solver:
    """Return a solver whose plane has the next bias at each fit."""
    each = iter(biases)
    return lambda x, _, duals: shifted(x, duals, float(next(each)))


def drifting() -> mining.Solver:
    """Return a solver whose plane moves by one at each fit, so that every pass finds something."""
    return with_biases(np.arange(100.0))


def counted(solver: mining.Solver, seen: list[list[float]]) -> mining.Solver:
    """Return the solver; `seen` takes the negatives of each fit."""

    def fit(x: np.ndarray, y: np.ndarray, duals: np.ndarray) -> Fit:
        seen.append(x[y < 0, 0].tolist())
        return solver(x, y, duals)

    return fit


def test_every_pass_ends_with_a_fit_to_what_it_found(svm_rules: TrainSvm) -> None:
    values = [9.0, *[-0.5 - index for index in range(12)]]  # first one is hard, then one more in each pass
    rules = svm_rules.model_copy(update={"rounds": 3, "first_negatives": 1, "easy_margin": -100.0})
    seen: list[list[float]] = []
    rounds = run(values, range(1, 13), rules, counted(drifting(), seen))
    assert [row.round for row in rounds] == [1, 2, 3]
    assert [row.fits for row in rounds] == [2, 1, 1]  # the first fit, to random negatives, counts in the first pass
    assert [len(negatives) for negatives in seen[1:]] == [row.negatives for row in rounds]
    for before, after in pairwise(rounds):
        assert after.negatives == before.negatives + after.newly_hard - after.evicted


def test_a_class_is_fitted_again_within_a_pass_when_enough_are_new(
    svm_rules: TrainSvm, monkeypatch: pytest.MonkeyPatch
) -> None:
    """All hard negatives of a pool at once would be more than the memory holds."""
    monkeypatch.setattr("src.rcnn.planes.BLOCK", 5)
    values = [9.0, *[0.5] * 19]  # four blocks: 4, 5, 5 and 5 hard negatives
    changes = {"rounds": 1, "first_negatives": 1, "hard_margin": 0.0}
    for retrain_every, fits in ((1, 5), (5, 4), (8, 3), (100, 2)):
        seen: list[list[float]] = []
        rules = svm_rules.model_copy(update={**changes, "retrain_every": retrain_every})
        rounds = run(values, range(1, 20), rules, counted(fixed, seen))
        assert (rounds[0].fits, len(seen)) == (fits, fits)
        assert seen[-1] == [0.5] * 19


def test_negatives_that_a_fit_makes_easy_leave_before_the_pass_is_over(
    svm_rules: TrainSvm, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("src.rcnn.planes.BLOCK", 5)
    values = [9.0, *[0.5] * 9, *[2.5] * 10]
    seen: list[list[float]] = []
    biases = [0.0, -3.0, -3.0, -3.0, -3.0]  # from the second fit on, 0.5 has a score of -2.5 and 2.5 one of -0.5
    solver = counted(with_biases(biases), seen)
    rules = svm_rules.model_copy(update={"rounds": 1, "first_negatives": 1, "retrain_every": 3})
    (only,) = run(values, range(1, 20), rules, solver)
    assert seen[-1].count(2.5) == 10
    assert len(seen[-1]) < 13  # only a few of the nine that became easy
    assert only.evicted >= 3


def test_no_fit_gets_more_than_the_limit_and_the_hardest_stay(
    svm_rules: TrainSvm, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("src.rcnn.planes.BLOCK", 7)
    values = [99.0, *np.random.default_rng(0).permutation(60).astype(float)]
    seen: list[list[float]] = []
    rules = svm_rules.model_copy(update={"rounds": 2, "first_negatives": 4, "max_held": 10, "retrain_every": 3})
    rounds = run(values, range(1, 61), rules, counted(fixed, seen))
    assert max(map(len, seen)) == 10
    assert sorted(seen[-1]) == list(range(50, 60))
    assert rounds[0].crowded_out >= 60 - 10


def test_a_class_that_is_full_of_the_hardest_is_not_fitted_again_and_mining_ends(svm_rules: TrainSvm) -> None:
    """Those without room are found in each pass; to count them as new would fit to the same ones for ever."""
    values = [99.0, *np.random.default_rng(0).permutation(60).astype(float)]
    seen: list[list[float]] = []
    rules = svm_rules.model_copy(update={"rounds": 9, "first_negatives": 4, "max_held": 10})
    rounds = run(values, range(1, 61), rules, counted(fixed, seen))
    assert [(row.fits, row.negatives, row.crowded_out) for row in rounds] == [(2, 10, 50), (0, 10, 50)]
    assert len(seen) == 2
    assert rounds[0].newly_hard <= 10
    assert rounds[1].newly_hard == 0


def test_more_first_negatives_than_may_be_held_are_refused(svm_rules: TrainSvm) -> None:
    with pytest.raises(ValidationError, match="first_negatives must not be above max_held"):
        TrainSvm.model_validate(svm_rules.model_dump() | {"max_held": 9})


def test_rows_of_the_table_are_those_of_the_fit(svm_rules: TrainSvm) -> None:
    row = run([3.0, *[-0.5] * 4], range(1, 5), svm_rules)[0]
    assert (row.round, row.label, row.positives, row.negatives, row.evicted) == (1, 1, 1, 4, 0)
    assert row.objective == pytest.approx(
        objective(np.ones(1), np.array([3.0]), np.full(4, -0.5), c=svm_rules.c, weight=2.0)
    )


HALF = np.full(6, 0.5, np.float32)


def two_classes(count: int = 400) -> tuple[np.ndarray, list[Candidates]]:
    rng = np.random.default_rng(0)
    features = rng.normal(size=(count, 6)).astype(np.float16)
    features[:20, 0] += 3
    features[20:40, 1] += 3
    every = np.arange(count)
    return features, [Candidates(every[:20], every[20:]), Candidates(every[20:40], np.r_[every[:20], every[40:]])]


def test_classes_are_mined_together_as_they_would_be_alone(svm_rules: TrainSvm) -> None:
    features, classes = two_classes()
    solver = partial(coordinate_descent.fit, c=1.0, weight=2.0, bias_multiplier=10.0, seed=0)
    together = list(mine(features, HALF, classes, solver, svm_rules, seed=0))
    first = list(mine(features, HALF, classes[:1], solver, svm_rules, seed=0))
    assert [table[0] for _, table in together][: len(first)] == [table[0] for _, table in first]
    np.testing.assert_array_equal(together[0][0][0].weight, first[0][0][0].weight)


def test_mining_makes_the_plane_that_all_negatives_at_once_would(svm_rules: TrainSvm) -> None:
    features, classes = two_classes()
    solver = partial(coordinate_descent.fit, c=1.0, weight=2.0, bias_multiplier=10.0, seed=0)
    rules = svm_rules.model_copy(update={"rounds": 8})
    *_, (planes, table) = mine(features, HALF, classes, solver, rules, seed=0)
    x = 0.5 * features.astype(np.float32)
    for kind, plane, row in zip(classes, planes, table, strict=True):
        assert row.newly_hard == 0
        assert row.negatives < len(kind.pool)
        rows = x[np.r_[kind.positives, kind.pool]]
        y = np.repeat(np.array([1, -1], np.float32), [len(kind.positives), len(kind.pool)])
        whole = solver(rows, y, np.zeros(len(y))).plane
        mined, best = (
            objective(
                found.weight,
                *(x[index] @ found.weight + found.bias for index in (kind.positives, kind.pool)),
                c=1.0,
                weight=2.0,
            ).total
            for found in (plane, whole)
        )
        assert mined == pytest.approx(best, rel=0.01)


def test_a_fit_starts_from_the_duals_of_the_one_before_it_and_new_rows_from_zero(svm_rules: TrainSvm) -> None:
    features, classes = two_classes()
    starts: list[dict[float, float]] = []
    ends: list[dict[float, float]] = []
    features[:, 5] = np.arange(len(features)) / 1000  # tells the rows apart

    def solver(x: np.ndarray, y: np.ndarray, duals: np.ndarray) -> Fit:
        starts.append(dict(zip(x[:, 5].tolist(), duals.tolist(), strict=True)))
        found = coordinate_descent.fit(x, y, duals, c=1.0, weight=2.0, bias_multiplier=10.0, seed=0)
        ends.append(dict(zip(x[:, 5].tolist(), found.duals.tolist(), strict=True)))
        return found

    list(mine(features, HALF, classes[:1], solver, svm_rules, seed=0))
    assert len(starts) > 1
    assert set(starts[0].values()) == {0.0}
    for before, start in zip(ends, starts[1:], strict=False):
        assert start == {row: before.get(row, 0.0) for row in start}
        assert any(start.values())
