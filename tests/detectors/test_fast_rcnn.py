from typing import Any

import pytest
import torch
from ruamel.yaml import YAML

from commands.write_deps import ROOT
from src.detectors.fast_rcnn import FastRcnn, Params, build, decode, loss
from tests.detectors.test_contract import PROPOSED, TARGETS

SIZES = [(128, 128)] * 2


def section(**changes: Any) -> Params:
    """The section of params.yaml with a narrow backbone and changes, by keys such as `loss__include_gt`."""
    found = YAML(typ="safe").load((ROOT / "params.yaml").read_text())["detectors"]["fast_rcnn"]
    for key, value in {"model__width": 0.25, **changes}.items():
        *parts, last = key.split("__")
        part = found
        for name in parts:
            part = part[name]
        part[last] = value
    return Params.model_validate(found)


def made(found: Params) -> FastRcnn:
    torch.manual_seed(0)
    net = build(4, found.model)
    assert isinstance(net, FastRcnn)
    return net


def images() -> torch.Tensor:
    return torch.rand(2, 3, 128, 128, generator=torch.Generator().manual_seed(0))


def test_the_regions_to_learn_from_are_proposals_and_objects() -> None:
    found = section(loss__regions_per_image=1000, loss__fg_fraction=1.0)
    outputs = made(found)(images(), PROPOSED, found.loss, TARGETS)
    wanted = torch.cat([PROPOSED[0], TARGETS["boxes"][0]]).tolist(), PROPOSED[1, :2].tolist()
    for image, boxes in enumerate(wanted):
        assert sorted(outputs["boxes"][outputs["images"] == image].tolist()) == sorted(boxes)
    assert set(loss(outputs, TARGETS, found.loss)) == {"class_loss", "box_loss"}


def test_the_first_proposals_are_classified_and_their_number_is_a_parameter_of_decode() -> None:
    found = section()
    net = made(found).eval()
    with torch.inference_mode():
        every = net(images(), PROPOSED, found.decode)
        few = net(images(), PROPOSED, found.decode.model_copy(update={"max_proposals": 1}))
    assert torch.bincount(every["images"]).tolist() == [5, 2]
    assert torch.equal(few["boxes"], PROPOSED[:, 0])


def test_images_without_proposals_have_no_detections_and_a_loss_of_0() -> None:
    found = section(loss__include_gt=False)
    net = made(found)
    named = loss(net(images(), PROPOSED[:, :0], found.loss, TARGETS), TARGETS, found.loss)
    assert named["class_loss"] == named["box_loss"] == 0
    (named["class_loss"] + named["box_loss"]).backward()
    with torch.inference_mode():
        outputs = net.eval()(images(), PROPOSED[:, :0], found.decode)
    assert [len(record["boxes"]) for record in decode(outputs, SIZES, found.decode)] == [0, 0]


def test_frozen_convolutions_get_no_gradient_in_any_mode_and_the_others_do() -> None:
    found = section(model__freeze=2, weights="imagenet")
    net = made(found).eval().train()
    outputs = net(images(), PROPOSED, found.loss, TARGETS)
    torch.stack(list(loss(outputs, TARGETS, found.loss).values())).sum().backward()
    held = {name for name, value in net.backbone.named_parameters() if value.grad is None}
    assert {name.split(".")[1] for name in held} == {"0", "1"}
    assert held == {name for name, _ in net.backbone.named_parameters() if name.split(".")[1] in "01"}
    with pytest.raises(ValueError, match="freeze = 2 holds layers at random"):
        section(model__freeze=2)


def test_detections_of_padded_images_are_in_pixels_of_their_image() -> None:
    found = section(model__longest=256, decode__score_thresh=0.0)
    net = made(found).eval()
    with torch.inference_mode():
        outputs = net(images(), PROPOSED, found.decode)
    whole = {**outputs, "deltas": outputs["deltas"] * 0}
    sizes = [(256, 256), (128, 128)]  # both are 128 x 128 pixels of the input
    first, second = decode(whole, sizes, found.decode)
    assert first["boxes"].max() == 256
    assert second["boxes"].max() <= 100
