import pytest
import torch
from torch import Tensor, nn

from src.errors import InputError
from src.networks.starting_weights import load, skipped


class Net(nn.Module):
    """A trained part with a normalisation, and a head."""

    def __init__(self) -> None:
        super().__init__()
        self.backbone = nn.Sequential(nn.Conv2d(3, 4, 1), nn.BatchNorm2d(4))
        self.head = nn.Linear(4, 2)


@pytest.fixture
def model() -> Net:
    return Net()


@pytest.fixture
def weights(model: Net) -> dict[str, Tensor]:
    return {name: torch.full_like(value, 2) for name, value in model.backbone.state_dict().items()}


def test_weights_of_a_part_leave_the_layers_outside_of_it_new(model: Net, weights: dict[str, Tensor]) -> None:
    before = model.head.weight.clone()
    assert load(model, weights, part="backbone") == ["head"]
    assert all((value == 2).all() for value in model.backbone.state_dict().values())
    assert torch.equal(model.head.weight, before)
    assert load(model.backbone, weights) == []


def test_a_normalisation_without_its_count_of_batches_is_not_new(model: Net, weights: dict[str, Tensor]) -> None:
    """Weights from before PyTorch 0.4.1 lack the count, and the rate of a trained layer would become that of a new."""
    del weights["1.num_batches_tracked"]
    assert load(model, weights, part="backbone") == ["head"]
    assert load(model.backbone, weights) == []


@pytest.mark.parametrize("name", ["1.weight", "1.bias", "1.running_mean", "1.running_var"])
def test_a_normalisation_without_weights_or_statistics_is_new(
    model: Net, weights: dict[str, Tensor], name: str
) -> None:
    del weights[name]
    assert load(model, weights, part="backbone") == ["backbone.1", "head"]


def test_weights_of_another_shape_are_left_out_and_their_layer_is_new(model: Net, weights: dict[str, Tensor]) -> None:
    weights["0.weight"] = torch.ones(4, 1, 1, 1)
    assert skipped(model.backbone, weights) == ["0.weight"]
    assert load(model, weights, part="backbone") == ["backbone.0", "head"]


def test_the_error_names_the_parameter_and_the_weights(model: Net) -> None:
    with pytest.raises(InputError, match=r"^detectors\.x\.weights: no tensor fits the network; the weights are other,"):
        load(model, {"other": torch.ones(1)}, "detectors.x.weights", part="backbone")
