from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from sklearn.metrics import hinge_loss

from src.rcnn.coordinate_descent import fit
from src.rcnn.solvers import Objective, Plane, Sgd, hinge, objective, sgd
from tests.rcnn.regions import labelled

SCHEDULE = Sgd(lr=0.01, lr_step=20, lr_gamma=0.1, epochs=60)


def clouds(overlap: float, count: int = 60, width: int = 5) -> tuple[np.ndarray, np.ndarray]:
    """Make positives and three times as many negatives, the ratio of a batch of 32 + 96."""
    rng = np.random.default_rng(0)
    centre = np.ones(width) / np.sqrt(width) / overlap
    positives, negatives = rng.normal(size=(count, width)) + centre, rng.normal(size=(3 * count, width)) - centre
    return positives.astype(np.float32), negatives.astype(np.float32)


def published_loss(score_true: float, score_other: float) -> float:
    """Compute the tutorial's loss: the largest margin over all classes, including the true class's constant 1."""
    return max(1.0, 1 + score_other - score_true)


def test_a_hinge_that_is_one_is_not_floored_at_one() -> None:
    """A margin of 0.3 costs 0.7 and has a gradient; in the published code it costs 1 and has none."""
    assert hinge(np.array([0.3])) == pytest.approx([0.7])
    assert hinge(np.array([0.4])) - hinge(np.array([0.3])) == pytest.approx([-0.1])
    assert published_loss(0.3, 0.0) == published_loss(0.4, 0.0) == 1.0
    assert published_loss(-0.3, 0.0) == pytest.approx(1.3) == hinge(np.array([-0.3]))[0]  # the same for a wrong score


def test_the_hinge_is_zero_from_a_margin_of_one_on() -> None:
    assert hinge(np.array([1.0, 1.5, 100.0])).tolist() == [0, 0, 0]
    assert hinge(np.array([1 - 1e-3]))[0] > 0


@given(st.lists(st.floats(-5, 5), min_size=2, max_size=20))
def test_the_hinge_agrees_with_scikit_learn_and_torch(values: list[float]) -> None:
    scores = np.array(values)
    sign = np.where(np.arange(len(scores)) % 2, 1, -1)
    ours = hinge(sign * scores).mean()
    assert ours == pytest.approx(hinge_loss(sign, scores), abs=1e-9)
    two = torch.from_numpy(np.stack([-scores / 2, scores / 2], axis=1))
    oracle = 2 * torch.nn.functional.multi_margin_loss(two, torch.from_numpy((sign > 0).astype(int)))
    assert ours == pytest.approx(oracle.item(), abs=1e-9)


def test_the_objective_is_the_one_of_the_docstring_by_hand() -> None:
    plane = Plane(np.array([2.0, 0.0]), 0.5)
    found = parts(plane, np.array([[1.0, 9], [-0.5, 9]]), np.array([[-1.0, 0], [0, 0]]), c=0.1, weight=3.0)
    # The scores are 2.5 and -0.5 for the positives, -1.5 and 0.5 for the negatives.
    assert found == pytest.approx((0.1 * 3 * 1.5, 0.1 * 1.5, 2.0))
    assert found.total == pytest.approx(0.45 + 0.15 + 2)


def parts(plane: Plane, positives: np.ndarray, negatives: np.ndarray, *, c: float, weight: float) -> Objective:
    scores = (x @ plane.weight + plane.bias for x in (positives, negatives))
    return objective(plane.weight, *scores, c=c, weight=weight)


def best_plane(x: tuple[np.ndarray, np.ndarray], **settings: float) -> Plane:
    rows, y = labelled(*x)
    return fit(rows, y, np.zeros(len(y)), seed=0, gap=1e-5, **settings).plane  # type: ignore[arg-type]


def whole(plane: Plane, x: tuple[np.ndarray, np.ndarray], c: float, weight: float, multiplier: float) -> float:
    """Compute the value that coordinate descent minimises, which also penalises the bias, divided by `multiplier`."""
    return parts(plane, *x, c=c, weight=weight).total + (plane.bias / multiplier) ** 2 / 2


@pytest.mark.parametrize("overlap", [0.5, 1.0])
@pytest.mark.parametrize(("c", "weight"), [(0.001, 2.0), (0.01, 3.0), (0.1, 1.0)])
def test_no_plane_near_ours_has_a_lower_objective(overlap: float, c: float, weight: float) -> None:
    x = clouds(overlap)
    plane = best_plane(x, c=c, weight=weight, bias_multiplier=10.0)
    best = whole(plane, x, c, weight, 10.0)
    rng = np.random.default_rng(1)
    for size in (1e-3, 1e-2, 0.1, 1.0):
        for _ in range(50):
            step = rng.normal(size=6) * size * (np.abs(plane.weight).mean() + 1e-3)
            other = Plane(plane.weight + step[:5], plane.bias + step[5])
            assert whole(other, x, c, weight, 10.0) >= best * (1 - 1e-4)


@pytest.mark.parametrize("factor", [0.5, 0.9, 1.1, 2.0])
def test_without_l2_a_longer_normal_costs_nothing_and_there_is_no_margin_to_speak_of(factor: float) -> None:
    x = clouds(0.15)  # far apart
    plane = best_plane(x, c=10.0, weight=1.0, bias_multiplier=100.0)
    scaled = Plane(plane.weight * factor, plane.bias * factor)
    first, second = (parts(found, *x, c=10.0, weight=1.0) for found in (plane, scaled))
    assert second.total > first.total
    if factor > 1:  # the published loss, without an L2 term, is not larger
        assert second.positives + second.negatives <= first.positives + first.negatives + 1e-3


def test_a_larger_c_bends_the_plane_more_to_the_samples() -> None:
    x = clouds(0.7)
    planes = [best_plane(x, c=c, weight=1.0, bias_multiplier=10.0) for c in (1e-4, 1e-3, 1e-2)]
    norms = [np.linalg.norm(plane.weight) for plane in planes]
    assert norms[0] < norms[1] < norms[2]


def test_a_weight_of_the_positives_moves_the_plane_to_the_negatives() -> None:
    x = clouds(2.0)
    light, heavy = (best_plane(x, c=0.01, weight=weight, bias_multiplier=10.0) for weight in (1.0, 10.0))
    assert ((x[0] @ heavy.weight + heavy.bias) > 0).mean() > ((x[0] @ light.weight + light.bias) > 0).mean()


@pytest.mark.parametrize("weight", [1.0, 3.0])
def test_sgd_comes_near_the_smallest_objective(weight: float) -> None:
    x = clouds(1.0)
    exact = best_plane(x, c=0.01, weight=weight, bias_multiplier=10.0)
    walked = sgd(*labelled(*x), c=0.01, weight=weight, schedule=SCHEDULE, seed=0)
    best, found = (parts(plane, *x, c=0.01, weight=weight).total for plane in (exact, walked))
    start = parts(Plane(np.zeros(5), 0.0), *x, c=0.01, weight=weight).total
    assert best <= found < best + 0.02 * (start - best)


def test_sgd_separates_one_of_each() -> None:
    x, y = labelled(np.array([[1.0, 0]]), np.array([[-1.0, 0]]))
    plane = sgd(x, y, c=10.0, weight=1.0, schedule=SCHEDULE, seed=0)
    assert plane.weight[0] > 0.5


def test_sgd_is_the_same_again_and_another_with_another_seed() -> None:
    x, schedule = clouds(1.0), Sgd(lr=0.01, lr_step=2, lr_gamma=0.1, epochs=2)
    first, second, other = (sgd(*labelled(*x), c=0.1, weight=1.0, schedule=schedule, seed=seed) for seed in (0, 0, 1))
    np.testing.assert_array_equal(first.weight, second.weight)
    assert not np.array_equal(first.weight, other.weight)


def test_the_rate_steps_down_by_epochs_not_by_batches(monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[float] = []
    step = torch.optim.SGD.step

    def recorded(self: torch.optim.SGD, *args: Any, **named: Any) -> Any:
        seen.append(self.param_groups[0]["lr"])
        return step(self, *args, **named)

    monkeypatch.setattr(torch.optim.SGD, "step", recorded)
    x = clouds(1.0, count=100)  # 400 regions: four batches per epoch
    sgd(*labelled(*x), c=0.1, weight=1.0, schedule=Sgd(lr=0.1, lr_step=2, lr_gamma=0.1, epochs=5), seed=0)
    assert seen == pytest.approx([rate for rate in (0.1, 0.1, 0.01, 0.01, 0.001) for _ in range(4)])


def test_sgd_has_one_thread_so_that_it_does_not_depend_on_the_processes_beside_it(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    seen: set[int] = set()
    step = torch.optim.SGD.step

    def recorded(self: torch.optim.SGD, *args: Any, **named: Any) -> Any:
        seen.add(torch.get_num_threads())
        return step(self, *args, **named)

    monkeypatch.setattr(torch.optim.SGD, "step", recorded)
    before = torch.get_num_threads()
    try:
        torch.set_num_threads(3)
        sgd(*labelled(*clouds(1.0)), c=0.1, weight=1.0, schedule=SCHEDULE.model_copy(update={"epochs": 1}), seed=0)
        assert (seen, torch.get_num_threads()) == ({1}, 3)
    finally:
        torch.set_num_threads(before)
