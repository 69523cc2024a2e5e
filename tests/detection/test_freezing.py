import pytest
import torch
from torch import nn

from src.detection.freezing import check_taught, hold


def network() -> nn.Sequential:
    layers: list[nn.Module] = []
    for _ in range(3):
        layers.append(nn.Sequential(nn.Conv2d(3, 3, 3, padding=1), nn.BatchNorm2d(3), nn.ReLU()))
    return nn.Sequential(*layers)


@pytest.mark.parametrize("count", [0, 1, 2, 3, 9])
def test_the_first_convolutions_and_their_normalisations_stand_still(count: int) -> None:
    torch.manual_seed(0)
    net = network().train()
    hold(net, count)
    before = {name: value.clone() for name, value in net.state_dict().items()}
    images = torch.rand(2, 3, 8, 8, requires_grad=True)
    net(images).square().sum().backward()
    learning = [value for value in net.parameters() if value.requires_grad]
    if learning:
        torch.optim.SGD(learning, 0.1).step()
    same = {name for name, value in net.state_dict().items() if torch.equal(value, before[name])}
    assert {name.split(".")[0] for name in same if name.endswith("running_mean")} == set("012"[:count])
    assert {name.split(".")[0] for name in same if name.endswith("0.weight")} == set("012"[:count])


def test_layers_at_random_are_not_held() -> None:
    check_taught(0, "none")
    check_taught(4, "imagenet")
    with pytest.raises(ValueError, match=r"^model.freeze = 4 holds layers at random with weights: none; name weights"):
        check_taught(4, "none")
