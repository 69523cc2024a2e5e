import pytest
import torch
import torchvision
from torch import Tensor, nn

from src.errors import InputError
from src.networks.starting_weights import load
from src.rcnn import network


@pytest.fixture(scope="module")
def small() -> nn.Module:
    return network.build("alexnet", 5, hidden=16, dropout=0.25).eval()


@pytest.fixture(scope="module")
def published() -> nn.Module:
    torch.manual_seed(0)
    return torchvision.models.alexnet(weights=None, num_classes=7).eval()


def test_widths_are_those_asked_for(small: nn.Module) -> None:
    crops = torch.randn(2, 3, 63, 63)
    with torch.inference_mode():
        for layer, width in (("pool5", 9216), ("fc6", 16), ("fc7", 16)):
            assert network.widths(small, layer) == [width]
            assert network.describe(small, crops, layer).shape == (2, width)
        assert small(crops).shape == (2, 5)
        assert network.describe(small, crops[:0], "fc7").shape == (0, 16)


def test_the_dropout_is_the_one_asked_for(small: nn.Module) -> None:
    assert [part.p for part in small.classifier if isinstance(part, nn.Dropout)] == [0.25, 0.25]


@pytest.mark.parametrize(("backbone", "pool", "width"), [("alexnet", 1, 256), ("alexnet", 3, 2304), ("vgg11", 2, 2048)])
def test_pool5_is_of_the_side_asked_for(backbone: str, pool: int, width: int) -> None:
    model = network.build(backbone, 5, pool=pool, hidden=16).eval()
    assert network.widths(model, "pool5") == [width]
    with torch.inference_mode():
        assert network.describe(model, torch.randn(2, 3, 67, 67), "pool5").shape == (2, width)
        assert model(torch.randn(2, 3, 67, 67)).shape == (2, 5)


@pytest.mark.parametrize("backbone", ["vgg11", "vgg16", "vgg16_bn"])
def test_a_vgg_has_the_same_three_layers(backbone: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(network, "_initialise", lambda _: None)
    with torch.device("meta"):  # tests the widths without half a gigabyte of weights
        model = network.build(backbone, 21, hidden=32)
        assert network.widths(model, "pool5") == [25_088]
        assert network.widths(model, "fc6+fc7") == [32, 32]
        assert network.describe(model.eval(), torch.zeros(1, 3, 64, 64), "fc7").shape == (1, 32)
        assert model(torch.zeros(1, 3, 64, 64)).shape == (1, 21)


@pytest.mark.parametrize("backbone", ["ssd300_vgg16", "resnet18", "mobilenet_v3_small", "no_such_model"])
def test_another_backbone_is_an_error_that_names_key_and_value(backbone: str) -> None:
    with pytest.raises(InputError, match=f"backbone = '{backbone}' is not"):
        network.build(backbone, 5)


def test_layers_are_those_of_torchvisions_alexnet(published: nn.Module) -> None:
    model = network.build("alexnet", 7).eval()
    assert load(model, published.state_dict()) == []
    seen: dict[str, Tensor] = {}
    for layer, name in (("pool5", "avgpool"), ("fc6", "classifier.2"), ("fc7", "classifier.5")):
        published.get_submodule(name).register_forward_hook(
            # The output is cloned because the next ReLU works in place.
            lambda _, __, output, layer=layer: seen.update({layer: output.flatten(1).clone()})
        )
    crops = torch.randn(3, 3, 99, 99)
    with torch.inference_mode():
        torch.testing.assert_close(model(crops), published(crops))
        for layer in ("pool5", "fc6", "fc7"):
            torch.testing.assert_close(network.describe(model, crops, layer), seen[layer])
            assert (seen[layer] >= 0).all()
            assert (seen[layer] > 0).any()


def test_products_in_bfloat16_give_nearly_the_same_features(small: nn.Module) -> None:
    crops = torch.randn(3, 3, 99, 99)
    with torch.inference_mode():
        exact, rough = (network.describe(small, crops, "pool5+fc7", name) for name in ("32-true", "bf16-mixed"))
    assert rough.dtype == torch.bfloat16
    assert not torch.equal(exact, rough.float())
    torch.testing.assert_close(rough.float(), exact, rtol=0.05, atol=0.02 * exact.abs().max().item())


def test_describing_changes_nothing_in_the_network(small: nn.Module) -> None:
    crops = torch.randn(2, 3, 63, 63)
    with torch.inference_mode():
        pool5 = network.describe(small, crops, "pool5")
        copy = pool5.clone()
        network.head(small, "fc7")(pool5)
        torch.testing.assert_close(pool5, copy)  # no layer of the head changes pool5 in place
        torch.testing.assert_close(network.describe(small, crops, "pool5"), copy)
    assert len(network.head(small, "pool5")) == 0


def test_weights_without_fc_layers_leave_these_at_random_and_name_them(published: nn.Module) -> None:
    model = network.build("alexnet", 5, hidden=16)
    before = {name: value.clone() for name, value in model.state_dict().items()}
    convolutions = {name: value for name, value in published.state_dict().items() if name.startswith("features.")}
    assert load(model, convolutions) == ["classifier.1", "classifier.4", "classifier.6"]
    for name, value in model.state_dict().items():
        torch.testing.assert_close(value, convolutions.get(name, before[name]), rtol=0, atol=0)


def test_weights_of_another_number_of_classes_leave_the_last_layer_alone(tiny_net: nn.Module) -> None:
    state = tiny_net.state_dict()
    weights = {**state, "classifier.6.weight": torch.ones(9, 8), "classifier.6.bias": torch.ones(9)}
    before = tiny_net.classifier[6].weight.clone()
    assert load(tiny_net, weights) == ["classifier.6"]
    torch.testing.assert_close(tiny_net.classifier[6].weight, before)


def test_a_layer_of_which_only_the_bias_fits_is_named_too(tiny_net: nn.Module) -> None:
    weights = {**tiny_net.state_dict(), "classifier.1.weight": torch.ones(8, 99)}
    assert load(tiny_net, weights) == ["classifier.1"]


def test_half_precision_weights_are_taken_in_full(tiny_net: nn.Module) -> None:
    half = {name: torch.full_like(value, 0.1).half() for name, value in tiny_net.state_dict().items()}
    assert load(tiny_net, half) == []
    weight = tiny_net.features[0].weight
    assert weight.dtype == torch.float32
    torch.testing.assert_close(weight, torch.full_like(weight, 0.1), atol=1e-4, rtol=0)


@pytest.mark.parametrize("weights", [{}, {"module.features.0.weight": torch.ones(1)}])
def test_weights_of_which_nothing_fits_are_an_error(tiny_net: nn.Module, weights: dict[str, Tensor]) -> None:
    with pytest.raises(InputError, match="no tensor fits"):
        load(tiny_net, weights)


def test_the_start_neither_dies_nor_explodes_through_the_layers(small: nn.Module) -> None:
    with torch.inference_mode():
        spread = network.describe(small, torch.randn(8, 3, 99, 99), "pool5").std()
    assert 0.1 < spread < 10  # torch's own initialisation gives about 0.01 here
