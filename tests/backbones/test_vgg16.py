import torch
from torch import Tensor
from torch.nn import functional

from src.backbones import vgg16
from src.detection.running import start
from src.detectors import rpn, ssd300
from src.networks.starting_weights import skipped
from tests.detectors.test_ssd300 import VGG


def fully_connected() -> dict[str, Tensor]:
    """Make VGG16's fc6 and fc7 from outer products, since random numbers for all would take seconds."""
    generator = torch.Generator().manual_seed(0)

    def layer(outputs: int, inputs: int) -> Tensor:
        column = torch.randn(outputs, 1, generator=generator)
        return (column * torch.randn(1, inputs, generator=generator)).half()

    return {
        "classifier.0.weight": layer(4096, 512 * 49),
        "classifier.0.bias": torch.randn(4096, generator=generator),
        "classifier.3.weight": layer(4096, 4096),
        "classifier.3.bias": torch.randn(4096, generator=generator),
        "classifier.6.weight": torch.zeros(2, 4096),
    }


def test_conv6_and_conv7_compute_what_fc6_and_fc7_compute_from_the_kept_values() -> None:
    weights = fully_connected()
    found = vgg16.adapted(weights)
    assert found.keys() == {"conv.0.weight", "conv.0.bias", "conv.2.weight", "conv.2.bias"}
    features = torch.zeros(1, 512, 7, 7)
    features[:, :, ::3, ::3] = torch.randn(1, 512, 3, 3)  # only the kept cells are not 0
    fc6 = functional.linear(features.flatten(1), weights["classifier.0.weight"].float(), weights["classifier.0.bias"])
    conv6 = functional.conv2d(features, found["conv.0.weight"].float(), found["conv.0.bias"], dilation=3)
    torch.testing.assert_close(conv6.flatten(1), fc6[:, ::4], atol=1e-2, rtol=1e-3)
    kept = torch.zeros(1, 4096)
    kept[:, ::4] = torch.randn(1, 1024)
    fc7 = functional.linear(kept, weights["classifier.3.weight"].float(), weights["classifier.3.bias"])
    conv7 = functional.conv2d(kept[:, ::4, None, None], found["conv.2.weight"].float(), found["conv.2.bias"])
    torch.testing.assert_close(conv7.flatten(1), fc7[:, ::4], atol=1e-2, rtol=1e-3)


def test_weights_without_the_fully_connected_layers_of_vgg16_stay() -> None:
    for weights in (
        {"features.0.bias": torch.ones(64)},
        {"classifier.0.weight": torch.zeros(64, 512), "classifier.3.weight": torch.zeros(64, 64)},
    ):
        assert vgg16.adapted(weights) == weights


def test_ssd_starts_from_all_of_vgg16_and_only_its_own_layers_are_fresh() -> None:
    section = type("Section", (), {"model": VGG})
    weights = {**fully_connected(), "features.0.bias": torch.ones(64)}
    net, fresh = start(ssd300, section, 4, weights, 0)
    conv6 = net.get_parameter("backbone.conv.0.weight")
    assert torch.equal(conv6, weights["classifier.0.weight"].float().reshape(4096, 512, 7, 7)[::4, :, ::3, ::3])
    assert not {"backbone.conv.0", "backbone.conv.2"} & set(fresh)
    assert {"backbone.norm", "extras.0.0", "classify.0"} <= set(fresh)


def test_the_rpn_leaves_the_fully_connected_layers_out() -> None:
    model = rpn.Model(
        backbone="vgg16", width=1.0, size=64, longest=None, channels=8, scales=[32.0], aspect_ratios=[1.0]
    )
    weights = {**fully_connected(), "features.0.bias": torch.ones(64)}
    net, _ = start(rpn, type("Section", (), {"model": model}), 2, weights, 0)
    assert torch.equal(net.get_parameter("backbone.features.0.bias"), torch.ones(64))
    assert "classifier.0.weight" in skipped(net.get_submodule("backbone"), weights)
