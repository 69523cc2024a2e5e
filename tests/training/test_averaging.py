from copy import deepcopy

import pytest
import torch
from torch import nn

from src.training.averaging import Average, decay_at


class Weight(nn.Module):
    def __init__(self, value: float = 0.0) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.full((3,), value))


def set_to(model: nn.Module, value: float) -> None:
    for tensor in model.parameters():
        tensor.data.fill_(value)


def test_a_weight_that_rises_is_followed_from_the_start() -> None:
    """With a constant decay of 0.999, the average of a weight that rises from 0 to 1 in 560 steps is 0.234."""
    model = Weight()
    average = Average(model, 0.999)
    for step in range(1, 561):
        set_to(model, step / 560)
        average.update()
    assert average.module.weight.tolist() == pytest.approx([0.9] * 3, abs=0.01)


def test_the_average_is_the_formula_step_by_step() -> None:
    model, expected = Weight(5.0), 5.0
    average = Average(model, 0.5)
    for step in range(20):
        set_to(model, float(step))
        average.update()
        expected = expected * decay_at(step, 0.5) + step * (1 - decay_at(step, 0.5))
        assert average.module.weight[0].item() == pytest.approx(expected, rel=1e-5)
    assert decay_at(20, 0.5) == 0.5


def test_statistics_are_averaged_and_counts_are_copied() -> None:
    model = nn.BatchNorm1d(2).train()
    average = Average(model, 0.5)
    for _ in range(3):
        model(torch.randn(8, 2) + 7)
        average.update()
    assert average.module.num_batches_tracked.item() == 3
    assert 0 < average.module.running_mean[0] < model.running_mean[0]


def test_an_average_goes_on_from_its_state_bit_for_bit() -> None:
    model = nn.Sequential(nn.Linear(2, 2), nn.BatchNorm1d(2))
    average = Average(model, 0.999)
    for value in (1.0, 2.0):
        set_to(model, value)
        average.update()
    resumed = Average(model, 0.999)
    resumed.load_state_dict(deepcopy(average.state_dict()))
    for one in (average, resumed):
        set_to(model, 3.0)
        one.update()
    for name, value in average.module.state_dict().items():
        assert torch.equal(resumed.module.state_dict()[name], value)


def test_a_network_without_weights_has_an_average_too() -> None:
    average = Average(nn.ReLU(), 0.9)
    average.update()
    assert average.steps == 1
