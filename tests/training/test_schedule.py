from typing import Any

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch.optim import SGD, lr_scheduler

from src.training.schedule import lr_factor
from tests.training.test_loop import SETTINGS


def factors(epochs: int = 20, **changes: Any) -> list[float]:
    settings = SETTINGS.model_copy(update={"epochs": epochs, **changes})
    return [lr_factor(settings, epoch) for epoch in range(epochs)]


@pytest.mark.parametrize(
    ("changes", "make"),
    [
        ({"schedule": "constant"}, lambda o: lr_scheduler.ConstantLR(o, 1.0)),
        ({"schedule": "step", "lr_step": 3, "lr_gamma": 0.8}, lambda o: lr_scheduler.StepLR(o, 3, 0.8)),
        (
            {"schedule": "multi_step", "lr_milestones": [4, 5, 11], "lr_gamma": 0.5},
            lambda o: lr_scheduler.MultiStepLR(o, [4, 5, 11], 0.5),
        ),
        ({"schedule": "cosine"}, lambda o: lr_scheduler.CosineAnnealingLR(o, 20)),
        *(
            (
                {"schedule": "warm_restarts", "restart_epochs": 3, "restart_factor": factor},
                lambda o, factor=factor: lr_scheduler.CosineAnnealingWarmRestarts(o, 3, factor),
            )
            for factor in (1, 2)
        ),
    ],
)
def test_schedules_are_torchs(changes: dict[str, Any], make: Any) -> None:
    optimizer = SGD([torch.zeros(1, requires_grad=True)], lr=1.0)
    scheduler = make(optimizer)
    for found in factors(**changes):
        assert found == pytest.approx(scheduler.get_last_lr()[0])
        optimizer.step()
        scheduler.step()


def test_the_cosine_of_a_restart_falls_within_its_epochs() -> None:
    settings = SETTINGS.model_copy(update={"schedule": "warm_restarts", "restart_epochs": 1, "restart_factor": 2})
    found = [lr_factor(settings, epoch) for epoch in (0.0, 0.5, 1.0, 2.0, 3.0, 5.0)]
    assert found == pytest.approx([1.0, 0.5, 1.0, 0.5, 1.0, 0.5])


@given(figures=st.lists(st.integers(0, 9), max_size=30), patience=st.integers(1, 4))
def test_a_plateau_is_torchs(figures: list[int], patience: int) -> None:
    optimizer = SGD([torch.zeros(1, requires_grad=True)], lr=1.0)
    # torch's patience is the number of validations that it tolerates; ours includes the one that lowers the rate.
    torchs = lr_scheduler.ReduceLROnPlateau(optimizer, mode="max", patience=patience - 1, threshold=0.0, factor=0.5)
    for figure in figures:
        torchs.step(figure)
    settings = SETTINGS.model_copy(update={"schedule": "plateau", "lr_patience": patience, "lr_gamma": 0.5})
    expected = optimizer.param_groups[0]["lr"]
    assert lr_factor(settings, len(figures), figures) == pytest.approx(expected, abs=1e-6)


def test_warm_up_rises_batch_by_batch_to_the_rate_and_does_something_from_the_first() -> None:
    settings = SETTINGS.model_copy(update={"schedule": "constant", "warmup_epochs": 2.0})
    found = [lr_factor(settings, epoch) for epoch in (0.0, 0.5, 1.0, 1.5, 2.0, 3.0)]
    assert found == pytest.approx([0.0, 0.25, 0.5, 0.75, 1.0, 1.0], abs=1e-3)
    assert found[0] > 0


@given(
    schedule=st.sampled_from(["constant", "step", "multi_step", "cosine", "warm_restarts", "plateau"]),
    epoch=st.floats(0, 20),
    warmup=st.floats(0, 5),
)
def test_factors_lie_between_0_and_1(schedule: str, epoch: float, warmup: float) -> None:
    changes = {"schedule": schedule, "lr_milestones": [3], "warmup_epochs": warmup, "epochs": 20}
    assert 0 <= lr_factor(SETTINGS.model_copy(update=changes), epoch) <= 1
