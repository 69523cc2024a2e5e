import pytest
import torch
from torch import nn

from src.errors import InputError
from src.networks.torchvision_classifier import Model, last_layer, network


def model(name: str, **changes: float | None) -> Model:
    return Model.model_validate({"name": name, "width": 1.0, "dropout": None, "bn_momentum": 0.1, **changes})


@pytest.mark.parametrize(
    ("name", "size"),
    [
        *(("mobilenet_v3_large", 32), ("efficientnet_b0", 32), ("densenet121", 32), ("shufflenet_v2_x0_5", 32)),
        *(("resnet18", 32), ("regnet_y_400mf", 32), ("squeezenet1_1", 64), ("convnext_tiny", 32), ("alexnet", 64)),
    ],
)
def test_any_classifier_of_torchvision_is_there_by_its_name(name: str, size: int) -> None:
    net = network(4, model(name)).eval()
    with torch.inference_mode():
        assert net(torch.rand(2, 3, size, size)).shape == (2, 4)
    last = last_layer(net)
    assert isinstance(last, nn.Linear | nn.Conv2d)
    assert last.weight.shape[0] == 4


def test_width_is_that_of_the_mobilenets() -> None:
    sizes = [sum(p.numel() for p in network(4, model("mobilenet_v3_small", width=w)).parameters()) for w in (0.5, 1.0)]
    assert sizes[0] < sizes[1] / 2


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"name": "resnet51"}, r"'resnet51': torchvision has no such classifier; it has alexnet, .*vgg16"),
        ({"name": "resnet18", "width": 0.5}, r"model\.width = 0\.5: resnet18 has only one width"),
        ({"name": "resnet18", "dropout": 0.5}, r"model\.dropout = 0\.5: resnet18 has no dropout"),
        ({"name": "googlenet"}, "'googlenet': torchvision has no such classifier"),
        ({"name": "fcn_resnet50"}, "'fcn_resnet50': torchvision has no such classifier"),
    ],
)
def test_what_a_network_does_not_have_is_an_error(wrong: dict, message: str) -> None:
    with pytest.raises(InputError, match=message):
        network(4, model(**wrong))
