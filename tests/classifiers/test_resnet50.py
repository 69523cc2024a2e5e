import pytest
import torch
import torchvision
from torch import nn

from src.classifiers.resnet50 import Bottleneck, Model, build

MODEL = Model(
    name="resnet50",
    width=1.0,
    dropout=0.0,
    bn_momentum=0.1,
    stride_on="3x3",
    relu_before_addition=False,
    zero_init_residual=False,
)


def changed(**changes: object) -> Model:
    return MODEL.model_copy(update=changes)


def images() -> torch.Tensor:
    return torch.rand(2, 3, 64, 96, generator=torch.Generator().manual_seed(0))


@pytest.mark.parametrize("name", ["resnet50", "resnet101", "resnet152"])
def test_with_torchvisions_weights_it_is_torchvisions(name: str) -> None:
    torch.manual_seed(0)
    theirs = torchvision.models.get_model(name, weights=None, num_classes=7)
    ours = build(7, changed(name=name))
    for layer in theirs.modules():  # statistics as after a training, so that a mistake in their use shows
        if isinstance(layer, nn.BatchNorm2d):
            nn.init.uniform_(layer.weight, 0.5, 1.5)
            layer.running_mean.uniform_(-0.1, 0.1)
            layer.running_var.uniform_(0.5, 1.5)
    ours.load_state_dict(theirs.state_dict())
    with torch.inference_mode():
        torch.testing.assert_close(ours.eval()(images()), theirs.eval()(images()))


def test_a_training_step_changes_weights_and_statistics_as_torchvisions() -> None:
    torch.manual_seed(0)
    theirs = torchvision.models.resnet50(weights=None, num_classes=7)
    ours = build(7, MODEL)
    ours.load_state_dict(theirs.state_dict())
    for net in (ours, theirs):
        optimizer = torch.optim.SGD(net.parameters(), lr=0.01)
        nn.functional.cross_entropy(net(images()), torch.tensor([1, 4])).backward()
        optimizer.step()
    for (name, mine), other in zip(ours.state_dict().items(), theirs.state_dict().values(), strict=True):
        torch.testing.assert_close(mine, other, atol=1e-4, rtol=1e-3, msg=name)


def test_random_weights_are_drawn_as_torchvisions() -> None:
    ours, theirs = build(7, MODEL), torchvision.models.resnet50(weights=None, num_classes=7)
    for (name, mine), other in zip(ours.named_parameters(), theirs.parameters(), strict=True):
        if mine.numel() > 1000:
            assert mine.std().item() == pytest.approx(other.std().item(), rel=0.1), name


def test_with_zeros_at_the_end_of_each_residual_a_block_begins_as_the_identity() -> None:
    net = build(7, changed(zero_init_residual=True)).eval()
    x = torch.rand(2, 256, 8, 8)
    with torch.inference_mode():
        assert torch.equal(net.get_submodule("layer1.1")(x), x)


def test_the_stride_lies_on_the_layer_that_is_named() -> None:
    for where, first, second in (("3x3", 1, 2), ("1x1", 2, 1)):
        block = Bottleneck(64, 32, 2, changed(stride_on=where))
        assert (block.conv1.stride[0], block.conv2.stride[0]) == (first, second)
        assert block(torch.rand(2, 64, 8, 8)).shape == (2, 128, 4, 4)


def test_the_tutorials_extra_relu_forbids_a_block_to_take_anything_away() -> None:
    torch.manual_seed(0)
    x = torch.rand(2, 128, 8, 8)
    free, bound = (Bottleneck(128, 32, 1, changed(relu_before_addition=value)).eval() for value in (False, True))
    bound.load_state_dict(free.state_dict())
    with torch.inference_mode():
        assert (free(x) < x).any()
        assert (bound(x) >= x).all()


def test_a_block_leaves_its_input_as_it_was() -> None:
    """The tutorial warns against `out += shortcut`: with its extra ReLU, which is in place, the gradient fails."""
    for extra in (False, True):
        x = torch.rand(2, 128, 8, 8, requires_grad=True)
        before = x.detach().clone()
        Bottleneck(128, 32, 1, changed(relu_before_addition=extra))(x).sum().backward()
        assert torch.equal(x.detach(), before)


def test_width_multiplies_the_channels() -> None:
    quarter = build(7, changed(width=0.25))
    assert quarter.get_submodule("fc").in_features == 512
    assert sum(value.numel() for value in quarter.parameters()) < 2_000_000
