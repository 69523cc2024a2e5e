"""Every detector on a device other than the CPU, on which one tensor of the CPU among the others is an error."""

from functools import partial
from typing import Any

import pytest
import torch
from torch.func import functional_call

from src.detection.anchors import kept_anchors
from src.detection.running import forward, two_stage
from src.detection.targets import padded
from tests.detectors.test_contract import OBJECTS, SIZES, TARGETS, each, images, made
from tests.elsewhere import There, back, elsewhere, moved

ON_CPU = ("input_size", "shape_scales", "scaling")  # outputs that Python reads: on a GPU it would wait for them


@each
def test_outputs_are_on_the_device_of_the_images_but_for_those_that_python_reads(name: str) -> None:
    module, section, model = made(name)
    if two_stage(module):  # it reads values, and `meta` has none
        return
    outputs = model.to("meta")(images(section).to("meta"))
    for key, value in outputs.items():
        assert value.device.type == ("cpu" if key in ON_CPU else "meta"), key


@pytest.mark.parametrize("learning", [True, False])
@pytest.mark.parametrize("name", ["fast_rcnn", "faster_rcnn"])
def test_regions_are_chosen_and_classified_on_the_device_and_are_those_of_the_cpu(name: str, learning: bool) -> None:
    module, section, model = made(name)
    batch = {"images": images(section), "targets": TARGETS}
    torch.manual_seed(1)
    with torch.no_grad():
        wanted = forward(module, model.eval(), batch, section, learning=learning)
    there = {"images": There(batch["images"]), "targets": moved(TARGETS)}
    state = moved({**dict(model.named_parameters()), **dict(model.named_buffers())})
    kept_anchors.cache_clear()
    torch.manual_seed(1)
    with elsewhere(), torch.no_grad():
        network = partial(functional_call, model, state)
        found = forward(module, lambda *given: network(given), there, section, learning=learning)
    kept_anchors.cache_clear()
    assert found.keys() == wanted.keys()
    for key, value in found.items():
        assert torch.equal(value if key in ON_CPU else back(value), wanted[key]), key


@each
def test_losses_are_computed_on_the_device_and_are_those_of_the_cpu(name: str) -> None:
    module, section, outputs = _outputs(name, learning=True)
    torch.manual_seed(1)
    wanted = module.loss(outputs, TARGETS, section.loss)
    torch.manual_seed(1)
    with elsewhere():
        found = module.loss(moved(outputs, ON_CPU), moved(TARGETS), section.loss)
    assert back(dict(found)) == wanted


@each
def test_detections_are_made_on_the_device_and_are_those_of_the_cpu(name: str) -> None:
    module, section, outputs = _outputs(name, learning=False)
    wanted = module.decode(outputs, SIZES, section.decode)
    with elsewhere():
        found = module.decode(moved(outputs, ON_CPU), SIZES, section.decode)
    for ours, theirs in zip(back(found), wanted, strict=True):
        assert all(torch.equal(ours[key], theirs[key]) for key in theirs)


def test_figures_and_padded_images_of_the_rpn_are_computed_on_the_device() -> None:
    module, section, _ = made("rpn")
    section = section.model_copy(update={"model": section.model.model_copy(update={"longest": 160})})
    outputs = _run(module.build(4, section.model), torch.rand(2, 3, 128, 160))
    targets = {**padded(OBJECTS), "sizes": torch.tensor([[96, 160], [128, 85]])}
    wanted = module.count(outputs, targets, section.loss), module.decode(outputs, SIZES, section.decode)
    with elsewhere():
        there = moved(outputs, ON_CPU)
        found = module.count(there, moved(targets), section.loss), module.decode(there, SIZES, section.decode)
    assert found[0] == wanted[0]
    for ours, theirs in zip(back(found[1]), wanted[1], strict=True):
        assert torch.equal(ours["boxes"], theirs["boxes"])


def test_a_tensor_of_the_cpu_among_those_of_the_device_is_an_error() -> None:
    with elsewhere(), pytest.raises(RuntimeError, match="tensors on two devices"):
        moved({"a": torch.ones(2)})["a"] + torch.ones(2)


def _outputs(name: str, *, learning: bool) -> tuple[Any, Any, dict[str, torch.Tensor]]:
    module, section, model = made(name)
    batch = {"images": images(section), "targets": TARGETS}
    with torch.no_grad():
        return module, section, forward(module, model.eval(), batch, section, learning=learning)


def _run(model: torch.nn.Module, batch: torch.Tensor) -> dict[str, torch.Tensor]:
    with torch.no_grad():
        return dict(model.eval()(batch))
