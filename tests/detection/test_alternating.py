from typing import Any

import pytest
import torch
from lightning_fabric import Fabric

from src.detection.alternating import Alternating
from src.detection.steps import in_steps
from src.detectors import faster_rcnn
from src.detectors.faster_rcnn import Params, loss
from src.params import read_params
from src.training.loop import Run, fit
from stages.train_detector import Params as Stage
from tests.detectors.test_faster_rcnn import ROOT, SIZES, TARGETS, images, made, section

PARTS = ("first_backbone", "net.backbone", "net.rpn", "net.head")
LEARNING = (("first_backbone", "net.rpn"), ("net.backbone", "net.head"), ("net.rpn",), ("net.head",))
OF_RPN, OF_HEAD = {"rpn_objectness_loss", "rpn_box_loss"}, {"class_loss", "box_loss"}


def steps(epochs: int = 1, **changes: Any) -> tuple[Alternating, Params]:
    """A network with four steps of so many epochs, with dropout, which a network that learns would show."""
    found = section(loss__alternating=[epochs] * 4, model__head__dropout=0.5, **changes)
    net = in_steps(faster_rcnn, made(found), found.loss, 4 * epochs)
    assert isinstance(net, Alternating)
    return net, found


def one_step(net: Alternating, found: Params, epoch: int, optimizer: torch.optim.Optimizer) -> dict[str, torch.Tensor]:
    net.train()
    net.enter(epoch)
    named = loss(net(images(), SIZES, found.loss, TARGETS), TARGETS, found.loss)
    optimizer.zero_grad()
    torch.stack(list(named.values())).sum().backward()
    optimizer.step()
    return named


def part_of(name: str) -> str:
    return next(part for part in PARTS if name.startswith(f"{part}."))


def test_each_step_changes_its_layers_and_no_value_of_another() -> None:
    net, found = steps()
    optimizer = torch.optim.AdamW(net.parameters(), lr=0.01, weight_decay=0.1)
    for epoch, learning in enumerate(LEARNING):
        before = {name: value.clone() for name, value in net.state_dict().items()}
        named = one_step(net, found, epoch, optimizer)
        assert set(named) == (OF_HEAD if epoch % 2 else OF_RPN)
        changed = {name for name, value in net.state_dict().items() if not torch.equal(value, before[name])}
        assert {part_of(name) for name in changed} == set(learning)
        assert {name for name, _ in net.named_parameters() if part_of(name) in learning} <= changed


def test_both_backbones_start_alike_and_the_regions_of_step_2_are_those_of_the_first() -> None:
    net, found = steps(loss__regions__include_gt=False)
    for name, value in net.first_backbone.state_dict().items():
        assert torch.equal(value, net.net.backbone.state_dict()[name])
        assert value.data_ptr() != net.net.backbone.state_dict()[name].data_ptr()
    net.train()
    net.enter(1)
    regions = [net(images(), SIZES, found.loss, TARGETS)["boxes"] for _ in range(2) if torch.manual_seed(0)]
    torch.testing.assert_close(*regions, rtol=0, atol=0)
    with torch.no_grad():
        for value in net.first_backbone.parameters():
            value.add_(torch.randn(value.shape))
    torch.manual_seed(0)
    assert not torch.equal(net(images(), SIZES, found.loss, TARGETS)["boxes"], regions[0])


def test_in_eval_mode_the_outputs_are_those_of_the_network_in_every_step() -> None:
    net, found = steps()
    for epoch in range(4):
        net.train()
        net.enter(epoch)
        net.eval()
        with torch.no_grad():
            outputs, wanted = net(images(), SIZES, found.decode), net.net(images(), SIZES, found.decode)
        assert outputs.keys() == wanted.keys()
        assert all(torch.equal(outputs[name], wanted[name]) for name in wanted)


def test_convolutions_that_stand_still_do_so_in_both_backbones() -> None:
    net, found = steps(model__freeze=2, weights="imagenet")
    optimizer = torch.optim.SGD(net.parameters(), lr=0.01)
    before = {name: value.clone() for name, value in net.state_dict().items()}
    for epoch in range(4):
        one_step(net, found, epoch, optimizer)
    same = {name for name, value in net.state_dict().items() if torch.equal(value, before[name])}
    layers = {name.rpartition(".")[0] for name in same if name.endswith("weight")}
    held = [name.removeprefix("first_backbone.") for name in layers if name.startswith("first_backbone.")]
    assert len(held) == 4  # two convolutions, each with its normalisation
    assert layers == {f"{backbone}.{name}" for backbone in PARTS[:2] for name in held}


def test_layers_have_the_names_that_they_have_in_both_backbones() -> None:
    net = steps()[0]
    assert net.layers(["backbone.layers.0", "head.classify"]) == [
        "net.backbone.layers.0",
        "net.head.classify",
        "first_backbone.layers.0",
    ]


def test_the_loss_of_each_step_falls() -> None:
    net, found = steps(epochs=12)
    base = read_params(ROOT / "params.yaml", Stage).train
    settings = base.model_copy(update={"lr": 0.002, "epochs": 48, "optimizer": "adamw", "schedule": "constant"})
    batch = {"images": images(), "sizes": SIZES}

    def losses(model: torch.nn.Module, given: dict[str, torch.Tensor]) -> dict[str, torch.Tensor]:
        return loss(model(given["images"], given["sizes"], found.loss, TARGETS), TARGETS, found.loss)

    rows = fit(
        Run(Fabric(accelerator="cpu", devices=1), settings),
        net,
        lambda _: [batch] * 3,
        losses,
        prepare=lambda model, epoch: model.enter(epoch),  # type: ignore[operator]
    )
    for first, share in zip((0, 12, 24, 36), (0.7, 0.7, 0.9, 0.9), strict=True):
        assert rows[first + 11]["loss"] < share * rows[first]["loss"], first


def test_a_list_of_other_than_four_steps_is_refused() -> None:
    with pytest.raises(ValueError, match="alternating"):
        section(loss__alternating=[1, 2, 1])
