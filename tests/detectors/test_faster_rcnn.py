from typing import Any

import pytest
import torch
from ruamel.yaml import YAML

from commands.write_deps import ROOT
from src.detection.targets import padded
from src.detectors.faster_rcnn import Decode, FasterRcnn, Loss, Params, build, decode, loss

SMALL = {"width": 0.25, "size": 64, "scales": [16.0, 32.0]}
SIZES = torch.tensor([[64, 64]] * 2)
TARGETS = {
    **padded(
        [
            {"boxes": torch.tensor([[8.0, 8, 40, 40], [30, 20, 60, 60]]), "labels": torch.tensor([2, 1])},
            {"boxes": torch.zeros(0, 4), "labels": torch.zeros(0, dtype=torch.int64)},
        ]
    ),
    "sizes": SIZES,
}


def section(**changes: Any) -> Params:
    """The section of params.yaml with changes, by keys such as `loss__regions__include_gt`."""
    found = YAML(typ="safe").load((ROOT / "params.yaml").read_text())["detectors"]["faster_rcnn"]
    found["model"] |= SMALL
    for key, value in changes.items():
        *parts, last = key.split("__")
        part = found
        for name in parts:
            part = part[name]
        part[last] = value
    return Params.model_validate(found)


def made(found: Params) -> FasterRcnn:
    torch.manual_seed(0)
    net = build(4, found.model)
    assert isinstance(net, FasterRcnn)
    return net


def images(height: int = 64, width: int = 64) -> torch.Tensor:
    return torch.rand(2, 3, height, width, generator=torch.Generator().manual_seed(0))


@pytest.mark.parametrize("pool", ["align", "max"])
def test_the_losses_of_the_second_stage_alone_teach_the_backbone_and_not_the_rpn(pool: str) -> None:
    found = section(model__head__pool=pool)
    net = made(found)
    outputs = net(images(), SIZES, found.loss, TARGETS)
    assert not outputs["boxes"].requires_grad
    named = loss(outputs, TARGETS, found.loss)
    assert set(named) == {"rpn_objectness_loss", "rpn_box_loss", "class_loss", "box_loss"}
    (named["class_loss"] + named["box_loss"]).backward()
    taught = {
        name.split(".")[0] for name, value in net.named_parameters() if value.grad is not None and value.grad.any()
    }
    assert taught == {"backbone", "head"}


def test_regions_to_learn_from_are_as_many_as_asked_for_and_the_objects_are_among_all_of_them() -> None:
    found = section(loss__regions__regions_per_image=12)
    outputs = made(found)(images(), SIZES, found.loss, TARGETS)
    assert torch.bincount(outputs["images"]).tolist() == [12, 12]
    found = section(loss__regions__regions_per_image=1000, loss__regions__fg_fraction=1.0)
    outputs = made(found)(images(), SIZES, found.loss, TARGETS)
    own = outputs["boxes"][outputs["images"] == 0]
    assert all((own == box).all(dim=1).any() for box in TARGETS["boxes"][0])
    assert set(outputs["labels"][outputs["images"] == 1].tolist()) == {0}


def test_an_rpn_that_proposes_nothing_is_no_special_case() -> None:
    found = section(loss__proposals__min_side=1e6, decode__proposals__min_side=1e6, loss__regions__include_gt=False)
    net = made(found)
    outputs = net(images(), SIZES, found.loss, TARGETS)
    named = loss(outputs, TARGETS, found.loss)
    assert named["class_loss"] == named["box_loss"] == 0
    torch.stack(list(named.values())).sum().backward()
    assert all(value.grad is None or value.grad.isfinite().all() for value in net.parameters())
    with torch.inference_mode():
        nothing = decode(net.eval()(images(), SIZES, found.decode), [(64, 64)] * 2, found.decode)
    assert [len(record["boxes"]) for record in nothing] == [0, 0]
    assert [record["boxes"].shape for record in nothing] == [(0, 4)] * 2


def test_the_number_of_proposals_at_the_test_is_a_number_of_decode() -> None:
    found = section()
    net = made(found).eval()
    for count in (5, 20):
        few = found.decode.proposals.model_copy(update={"max_per_image": count})
        rules = found.decode.model_copy(update={"proposals": few})
        with torch.inference_mode():
            assert torch.bincount(net(images(), SIZES, rules)["images"]).tolist() == [count, count]


def test_regions_of_padded_images_lie_in_their_images() -> None:
    found = section(model__longest=128)
    sizes = torch.tensor([[64, 85], [96, 64]])
    targets = {**TARGETS, "sizes": sizes}
    net = made(found)
    for rules, given in ((found.loss, targets), (found.decode, None)):
        assert isinstance(rules, Loss | Decode)
        outputs = net(images(96, 96), sizes, rules, given)
        for image, (height, width) in enumerate(sizes.tolist()):
            boxes = outputs["boxes"][outputs["images"] == image]
            assert len(boxes)
            assert (boxes <= torch.tensor([width, height, width, height])).all()


def test_a_shape_that_fits_nowhere_is_refused_with_the_key_of_the_section() -> None:
    with pytest.raises(ValueError, match=r"loss\.rpn\.across_border = false and model.scales .* 96 x 0\.5"):
        section(model__scales=[16.0, 96.0], loss__rpn__across_border=False)
    section(model__scales=[16.0, 32.0], loss__rpn__across_border=False)
