"""Fast R-CNN whose boxes learn after its classes."""

from copy import deepcopy
from typing import Any

import pytest
import torch
from torch import nn

from src.detection.steps import in_steps
from src.detectors import fast_rcnn
from src.detectors.fast_rcnn import Params, StageWise, loss
from src.errors import InputError
from src.params import validated
from tests.detectors.test_contract import PROPOSED, SECTIONS, TARGETS
from tests.detectors.test_fast_rcnn import images, made, section

BOXES = "net.head.regress."


def steps(**changes: Any) -> tuple[StageWise, Params]:
    """A network with two steps of an epoch."""
    found = section(loss__stage_wise=[1, 1], **changes)
    net = in_steps(fast_rcnn, made(found), found.loss, 2)
    assert isinstance(net, StageWise)
    return net, found


def losses(net: nn.Module, found: Params) -> dict[str, torch.Tensor]:
    """The losses of a batch; each call chooses the same regions."""
    torch.manual_seed(0)
    return loss(net(images(), PROPOSED, found.loss, TARGETS), TARGETS, found.loss)


def learn(net: StageWise, found: Params, epoch: int, optimizer: torch.optim.Optimizer) -> dict[str, torch.Tensor]:
    net.train()
    net.enter(epoch)
    named = losses(net, found)
    optimizer.zero_grad()
    torch.stack(list(named.values())).sum().backward()
    optimizer.step()
    return named


def test_step_1_changes_every_value_but_those_of_the_boxes_and_step_2_those_alone() -> None:
    """Also the statistics of BatchNorm, and with weight decay, which would move a value without a gradient."""
    net, found = steps(model__head__dropout=0.5)
    optimizer = torch.optim.AdamW(net.parameters(), lr=0.01, weight_decay=0.1)
    for epoch, name in ((0, "class_loss"), (0, "class_loss"), (1, "box_loss"), (1, "box_loss"), (0, "class_loss")):
        before = {key: value.clone() for key, value in net.state_dict().items()}
        assert set(learn(net, found, epoch, optimizer)) == {name}
        for key, value in net.state_dict().items():
            learns = key.startswith(BOXES) == (epoch == 1)
            assert torch.equal(value, before[key]) != learns, key


def test_the_boxes_learn_from_what_the_test_will_see() -> None:
    """In step 2 dropout and BatchNorm are in the mode of the test."""
    net, found = steps(model__head__dropout=0.5)
    net.train()
    net.enter(1)
    torch.manual_seed(0)
    learning = net(images(), PROPOSED, found.loss, TARGETS)
    net.eval()
    torch.manual_seed(0)
    torch.testing.assert_close(net(images(), PROPOSED, found.loss, TARGETS)["deltas"], learning["deltas"])


def test_step_1_has_the_gradients_of_the_classes_alone() -> None:
    net, found = steps()
    joint, alone = deepcopy(net.net), section(loss__box_weight=0.0)
    net.train()
    net.enter(0)
    losses(net, found)["class_loss"].backward()
    torch.stack(list(losses(joint.train(), alone).values())).sum().backward()
    for key, value in joint.named_parameters():
        own = net.net.get_parameter(key).grad
        if key.startswith("head.regress"):
            assert own is None
        else:
            torch.testing.assert_close(own, value.grad, rtol=0, atol=0)


def test_in_step_2_the_loss_of_the_boxes_falls_and_the_scores_stay() -> None:
    net, found = steps()
    optimizer = torch.optim.AdamW(net.parameters(), lr=0.01)
    learn(net, found, 0, optimizer)

    def scores() -> torch.Tensor:
        with torch.inference_mode():
            return net.eval()(images(), PROPOSED, found.decode)["logits"]

    before = scores()
    first, *_, last = [learn(net, found, 1, optimizer)["box_loss"].item() for _ in range(30)]
    assert last < 0.9 * first
    assert torch.equal(scores(), before)


def test_in_eval_mode_the_outputs_are_those_of_the_network_in_both_steps() -> None:
    net, found = steps()
    for epoch in range(2):
        net.train()
        net.enter(epoch)
        net.eval()
        with torch.inference_mode():
            outputs, wanted = net(images(), PROPOSED, found.decode), net.net(images(), PROPOSED, found.decode)
        assert outputs.keys() == wanted.keys()
        assert all(torch.equal(outputs[name], wanted[name]) for name in wanted)
        assert set(losses(net, found)) == {"class_loss", "box_loss"}


def test_images_without_regions_have_a_loss_of_0_in_both_steps() -> None:
    net, found = steps(loss__include_gt=False)
    for epoch, name in enumerate(("class_loss", "box_loss")):
        net.train()
        net.enter(epoch)
        named = loss(net(images(), PROPOSED[:, :0], found.loss, TARGETS), TARGETS, found.loss)
        assert named == {name: torch.tensor(0.0)}
        named[name].backward()


def test_convolutions_that_stand_still_do_so_in_step_1() -> None:
    net, found = steps(model__freeze=2, weights="imagenet")
    before = {key: value.clone() for key, value in net.state_dict().items()}
    learn(net, found, 0, torch.optim.SGD(net.parameters(), lr=0.01))
    same = {key for key, value in net.state_dict().items() if torch.equal(value, before[key])}
    held = {key for key in same if not key.startswith(BOXES)}
    assert {key.split(".")[3] for key in held} == {"0", "1"}
    assert held == {key for key in before if key.startswith(("net.backbone.features.0.", "net.backbone.features.1."))}


@pytest.mark.parametrize(
    ("changes", "sentence"),
    [
        ({"stage_wise": [5]}, "loss.stage_wise = [5]: List should have at least 2 items after validation, not 1"),
        ({"stage_wise": [0, 5]}, "loss.stage_wise.0 = 0: Input should be greater than or equal to 1"),
        (
            {"stage_wise": [3, 2], "box_weight": 0.0},
            "loss: stage_wise = [3, 2] with box_weight = 0: nothing would learn in the second step; raise box_weight, "
            "or set stage_wise to null",
        ),
    ],
)
def test_steps_in_which_nothing_would_learn_are_refused_in_one_sentence(changes: dict[str, Any], sentence: str) -> None:
    content = {**SECTIONS["fast_rcnn"], "loss": {**SECTIONS["fast_rcnn"]["loss"], **changes}}
    with pytest.raises(InputError) as error:
        validated(content, Params, "")
    assert str(error.value) == sentence
