from typing import Any

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch.optim import SGD, lr_scheduler

from src.schedule import lr_factor
from tests.test_training import SETTINGS


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
    ],
)
def test_schedules_are_torchs(changes: dict[str, Any], make: Any) -> None:
    optimizer = SGD([torch.zeros(1, requires_grad=True)], lr=1.0)
    scheduler = make(optimizer)
    for found in factors(**changes):
        assert found == pytest.approx(scheduler.get_last_lr()[0])
        optimizer.step()
        scheduler.step()


def test_warm_up_rises_batch_by_batch_to_the_rate_and_does_something_from_the_first() -> None:
    settings = SETTINGS.model_copy(update={"schedule": "constant", "warmup_epochs": 2.0})
    found = [lr_factor(settings, epoch) for epoch in (0.0, 0.5, 1.0, 1.5, 2.0, 3.0)]
    assert found == pytest.approx([0.0, 0.25, 0.5, 0.75, 1.0, 1.0], abs=1e-3)
    assert found[0] > 0


@given(
    schedule=st.sampled_from(["constant", "step", "multi_step", "cosine"]),
    epoch=st.floats(0, 20),
    warmup=st.floats(0, 5),
)
def test_factors_lie_between_0_and_1(schedule: str, epoch: float, warmup: float) -> None:
    changes = {"schedule": schedule, "lr_milestones": [3], "warmup_epochs": warmup, "epochs": 20}
    assert 0 <= lr_factor(SETTINGS.model_copy(update=changes), epoch) <= 1
