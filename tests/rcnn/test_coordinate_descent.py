"""Dual coordinate descent beside liblinear, the same method in double precision by other authors."""

import hashlib
import os
import subprocess
import sys
import tracemalloc
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.svm import LinearSVC

from src.errors import InputError
from src.rcnn import mining
from src.rcnn.coordinate_descent import GAP, LANES, ROUNDING, fit
from src.rcnn.planes import Plane
from src.rcnn.solvers import Fit, hinge
from tests.conftest import ROOT
from tests.rcnn.regions import labelled

Problem = Callable[[int, int, int], tuple[np.ndarray, np.ndarray]]
C, WEIGHT, BIAS = 0.01, 2.0, 10.0


def descended(x: np.ndarray, y: np.ndarray, duals: np.ndarray | None = None, **changes: float) -> Fit:
    options = {"c": C, "weight": WEIGHT, "bias_multiplier": BIAS, "seed": 0, **changes}
    return fit(x, y, np.zeros(len(y)) if duals is None else duals, **options)  # type: ignore[arg-type]


def liblinear(x: np.ndarray, y: np.ndarray, c: float = C) -> Plane:
    solver = LinearSVC(
        loss="hinge", C=c, class_weight={1: WEIGHT}, intercept_scaling=BIAS, random_state=0, tol=1e-7, max_iter=100_000
    )
    solver.fit(x.astype(np.float64), y)
    return Plane(solver.coef_[0], float(solver.intercept_[0]))


def value(plane: Plane, x: np.ndarray, y: np.ndarray, c: float = C) -> float:
    """Compute the objective in double precision, with the bias in the regulariser."""
    weight = plane.weight.astype(np.float64)
    losses = np.where(y > 0, c * WEIGHT, c) * hinge(y * (x.astype(np.float64) @ weight + plane.bias))
    return float(losses.sum() + weight @ weight / 2 + (plane.bias / BIAS) ** 2 / 2)


def rounding(y: np.ndarray, c: float) -> float:
    """Return what single precision may cost: twice a millionth of the objective of a plane of zeros."""
    return float(2 * ROUNDING * np.where(y > 0, c * WEIGHT, c).sum())


def noise(seed: int, count: int, width: int, shift: float = 0.3) -> tuple[np.ndarray, np.ndarray]:
    """Draw a fifth positives, whose mean is shifted."""
    rng = np.random.default_rng(seed)
    positives = rng.normal(shift, 1, (count // 5 + 1, width))
    return labelled(positives, rng.normal(0, 1, (count - count // 5, width)))


def clusters(seed: int, count: int, width: int) -> tuple[np.ndarray, np.ndarray]:
    """Draw negatives in three tight clusters and positives in one, all at or above 0 like features after a ReLU."""
    rng = np.random.default_rng(seed)
    centres = rng.exponential(2, (4, width))
    positives = centres[0] + rng.normal(0, 0.3, (count // 5 + 1, width))
    negatives = centres[1 + rng.integers(3, size=count)] + rng.normal(0, 0.3, (count, width))
    return labelled(np.maximum(positives, 0), np.maximum(negatives, 0))


problems = given(
    made=st.sampled_from([noise, clusters]),
    seed=st.integers(0, 10_000),
    count=st.integers(2, 120),
    width=st.sampled_from([1, 3, LANES - 1, LANES, LANES + 1, 150]),
    c=st.sampled_from([1e-3, 1e-2, 0.1]),
)


@problems
@settings(max_examples=40, deadline=None)
def test_the_objective_is_liblinears_and_so_are_the_signs(
    made: Problem, seed: int, count: int, width: int, c: float
) -> None:
    x, y = made(seed, count, width)
    found, witness = descended(x, y, c=c, gap=1e-4), liblinear(x, y, c)
    best = value(witness, x, y, c)
    assert found.finished
    assert value(found.plane, x, y, c) == pytest.approx(best, rel=3e-4, abs=rounding(y, c))
    other = x.astype(np.float64) @ witness.weight + witness.bias
    clear = np.abs(other) > 0.1 * np.abs(other).max()
    assert (np.sign(found.scores) == np.sign(other))[clear].mean() > 0.98


@problems
@settings(max_examples=25, deadline=None)
def test_the_usual_gap_bounds_the_distance_to_the_smallest_objective(
    made: Problem, seed: int, count: int, width: int, c: float
) -> None:
    x, y = made(seed, count, width)
    found, best = descended(x, y, c=c), descended(x, y, c=c, gap=1e-5)
    assert value(found.plane, x, y, c) <= value(best.plane, x, y, c) * (1 + 2 * GAP) + rounding(y, c)


@problems
@settings(max_examples=25, deadline=None)
def test_the_plane_is_that_of_the_duals_and_both_are_near_the_optimality_conditions(
    made: Problem, seed: int, count: int, width: int, c: float
) -> None:
    x, y = made(seed, count, width)
    plane, scores, duals, _ = descended(x, y, c=c, gap=1e-5)
    upper = np.where(y > 0, WEIGHT * c, c)
    assert (duals >= 0).all()
    assert (duals <= upper).all()
    weight = (duals * y) @ x.astype(np.float64)
    np.testing.assert_allclose(plane.weight, weight, atol=1e-5 * (1 + np.abs(weight).max()))
    assert plane.bias == pytest.approx(BIAS**2 * (duals @ y), abs=1e-9)
    np.testing.assert_allclose(scores, x @ plane.weight + plane.bias, atol=1e-3)
    # Complementary slackness: a dual is 0 beyond the margin and at its bound inside it. Each term is part of the gap.
    margins = y * scores
    slack = upper * hinge(margins) + duals * (margins - 1)
    assert (slack >= -1e-9).all()
    assert slack.sum() <= 1.1e-5 * value(plane, x, y, c) + rounding(y, c)


def test_a_fit_from_other_duals_has_the_same_objective_and_one_from_its_own_is_over_at_once() -> None:
    x, y = noise(0, 400, 100)
    cold = descended(x, y)
    best = value(descended(x, y, gap=1e-6).plane, x, y)
    half = np.arange(len(y)) % 2 == 0
    start = np.zeros(len(y))
    start[half] = descended(np.ascontiguousarray(x[half]), y[half]).duals
    for duals in (cold.duals, start, np.random.default_rng(0).random(len(y))):
        assert value(descended(x, y, duals).plane, x, y) == pytest.approx(best, rel=GAP)
    again = descended(x, y, cold.duals, max_sweeps=1)
    assert again.finished
    assert not descended(x, y, max_sweeps=1).finished
    assert duals.max() > 2 * C  # duals above their bound are allowed as a start


def test_the_limit_of_sweeps_is_told_and_the_scores_are_those_of_the_plane() -> None:
    x, y = noise(0, 200, 30)
    found = descended(x, y, max_sweeps=2)
    assert not found.finished
    np.testing.assert_allclose(found.scores, x @ found.plane.weight + found.plane.bias, atol=1e-5)


@pytest.mark.parametrize("sign", [1, -1])
def test_rows_of_one_kind_are_all_on_its_side(sign: int) -> None:
    x = np.random.default_rng(0).normal(size=(30, 8)).astype(np.float32)
    found = descended(x, np.full(30, sign, np.float32), c=1.0)
    assert found.finished
    assert (sign * found.scores > 0.9).all()


def test_no_rows_give_a_plane_of_zeros() -> None:
    found = descended(np.zeros((0, 5), np.float32), np.zeros(0, np.float32))
    assert (found.plane.weight.tolist(), found.plane.bias, found.finished) == ([0.0] * 5, 0.0, True)
    assert len(found.scores) == len(found.duals) == 0


def test_a_row_that_stands_twice_counts_twice() -> None:
    x, y = noise(0, 60, 10)
    twice = descended(np.concatenate([x, x]), np.r_[y, y], gap=1e-5).plane
    heavier = descended(x, y, c=2 * C, gap=1e-5).plane
    assert value(twice, x, y, 2 * C) == pytest.approx(value(heavier, x, y, 2 * C), rel=1e-4)


def test_rows_of_zeros_move_the_bias_alone() -> None:
    x, y = np.zeros((20, 6), np.float32), np.repeat(np.array([1, -1], np.float32), [5, 15])
    found = descended(x, y, gap=1e-5)
    assert found.finished
    assert not found.plane.weight.any()
    assert value(found.plane, x, y) == pytest.approx(value(liblinear(x, y), x, y), rel=1e-4)


@pytest.mark.parametrize("size", [1e-6, 1e3, 1e6])
def test_tiny_and_huge_norms_are_fitted_too(size: float) -> None:
    x, y = noise(0, 80, 200)
    x *= np.float32(size)
    found = descended(x, y)
    best = value(descended(x, y, gap=1e-5).plane, x, y)
    assert found.finished
    assert value(found.plane, x, y) <= best * (1 + 2 * GAP) + rounding(y, C)
    if size > 1:  # more features than rows: separable, so the losses are 0 but for the rounding
        assert (y * found.scores > 0.999).all()


@pytest.mark.parametrize("wrong", [np.nan, np.inf])
def test_a_feature_that_is_no_number_is_an_error_of_the_user(wrong: float) -> None:
    x, y = noise(0, 40, 10)
    x[7, 3] = wrong
    with pytest.raises(InputError, match="not a finite number"):
        descended(x, y)


def test_rows_of_another_type_or_order_are_refused() -> None:
    x, y = noise(0, 40, 10)
    for other in (x.astype(np.float64), np.asfortranarray(x)):
        with pytest.raises(ValueError, match="contiguous float32"):
            descended(other, y)


def digest(found: Fit) -> str:
    parts = found.plane.weight, np.float64(found.plane.bias), found.scores, found.duals
    return hashlib.sha256(b"".join(part.tobytes() for part in parts)).hexdigest()


CHILD = """
from tests.rcnn.test_coordinate_descent import descended, digest, noise
print(digest(descended(*noise(3, 300, 211))))
"""


@pytest.mark.parametrize("processor", [{}, {"NUMBA_CPU_NAME": "generic", "NUMBA_CPU_FEATURES": ""}])
def test_other_processes_and_processors_make_the_same_bytes(processor: dict[str, str]) -> None:
    """A processor without AVX adds and multiplies four floats at a time, and has no fused product and sum."""
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "2", **processor}
    done = subprocess.run([sys.executable, "-c", CHILD], cwd=ROOT, env=environment, capture_output=True, text=True)
    assert done.stdout.strip() == digest(descended(*noise(3, 300, 211))), done.stderr


def test_threads_do_not_disturb_each_other() -> None:
    x, y = noise(1, 300, 100)
    with ThreadPoolExecutor(4) as threads:
        found = set(threads.map(lambda _: digest(descended(x, y)), range(8)))
    assert found == {digest(descended(x, y))}
    assert digest(descended(x, y, seed=1)) not in found


def test_rows_are_neither_changed_nor_copied(svm_rules: mining.TrainSvm) -> None:
    """liblinear's way took 12 to 28 bytes per number, and 4 are those of the rows."""
    x, y = noise(0, 4000, 512)
    features, before = x.astype(np.float16), x.copy()
    descended(x[:50], y[:50])
    solver = mining.solver_of(svm_rules.model_copy(update={"c": 0.001}), 0)
    rows = np.arange(len(x))
    tracemalloc.start()
    try:
        descended(x, y, c=0.001)
        alone = tracemalloc.get_traced_memory()[1]
        tracemalloc.reset_peak()
        mining._fit(features, np.ones(512, np.float32), solver, (rows[:800], rows[800:], np.zeros(len(x))))
        with_reading = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    np.testing.assert_array_equal(x, before)
    assert alone < 0.1 * x.nbytes
    assert with_reading < 1.1 * x.nbytes
