"""Contract of every file in src/detectors; a new detector is tested as soon as its file exists."""

from types import ModuleType
from typing import Any

import pytest
import torch
from ruamel.yaml import YAML

from commands.write_deps import ROOT
from src import plugins
from src.detection.running import forward
from src.detection.targets import padded

SECTIONS = YAML(typ="safe").load((ROOT / "params.yaml").read_text())["detectors"]
each = pytest.mark.parametrize("name", plugins.names("detectors"))
SIZES = [(120, 200), (90, 60)]
OBJECTS = [
    {
        "boxes": torch.tensor([[100.0, 100, 117, 117], [20, 20, 54, 50], [10.0, 20, 60, 90], [10, 10, 150, 150]]),
        "labels": torch.tensor([1, 3, 2, 1]),
    },
    {"boxes": torch.zeros(0, 4), "labels": torch.zeros(0, dtype=torch.int64)},
]
SEEN = torch.tensor([[128, 128]] * 2)
PROPOSED = torch.tensor(  # of a detector that takes them; the second image has fewer, and padding
    [
        [[98.0, 102, 118, 117], [20, 18, 56, 50], [12, 20, 60, 88], [0, 0, 128, 128], [70, 5, 120, 40]],
        [[10.0, 20, 60, 90], [5, 5, 100, 30], [0, 0, 0, 0], [0, 0, 0, 0], [0, 0, 0, 0]],
    ]
)
TARGETS = {**padded(OBJECTS), "sizes": SEEN, "proposals": PROPOSED}
NOTHING = {**padded(OBJECTS[1:] * 2), "sizes": SEEN, "proposals": PROPOSED}


def made(name: str) -> tuple[ModuleType, Any, torch.nn.Module]:
    torch.manual_seed(0)
    module = plugins.load("detectors", name)
    section = module.Params.model_validate(SECTIONS[name])
    return module, section, module.build(4, section.model)


def images(section: Any) -> torch.Tensor:
    return torch.rand(2, 3, section.model.size, section.model.size, generator=torch.Generator().manual_seed(0))


def outputs_of(
    name: str, batch: torch.Tensor | None = None, targets: dict[str, torch.Tensor] | None = None
) -> tuple[ModuleType, Any, torch.nn.Module, dict[str, torch.Tensor]]:
    """Make a detector and its outputs: for its loss if there are objects in `targets`, otherwise for its detections."""
    module, section, model = made(name)
    batch = images(section) if batch is None else batch
    given = {
        "images": batch,
        "targets": targets or {"sizes": SEEN[-len(batch) :], "proposals": PROPOSED[-len(batch) :]},
    }
    if targets:
        return module, section, model, forward(module, model, given, section, learning=True)
    with torch.inference_mode():
        return module, section, model, forward(module, model.eval(), given, section, learning=False)


@each
def test_every_output_is_a_tensor_and_losses_are_finite_scalars_with_a_gradient_in_every_parameter(name: str) -> None:
    module, section, model, outputs = outputs_of(name, targets=TARGETS)
    assert all(isinstance(value, torch.Tensor) for value in outputs.values())
    losses = module.loss(outputs, TARGETS, section.loss)
    assert len(losses) >= 1
    assert all(value.shape == () and value.isfinite() and value > 0 for value in losses.values())
    torch.stack(list(losses.values())).sum().backward()
    without = [key for key, value in model.named_parameters() if value.grad is None or not value.grad.any()]
    assert not without


@each
def test_a_batch_without_objects_has_a_finite_loss_and_gradient(name: str) -> None:
    module, section, model, outputs = outputs_of(name, targets=NOTHING)
    losses = module.loss(outputs, NOTHING, section.loss)
    torch.stack(list(losses.values())).sum().backward()
    assert all(value.isfinite() for value in losses.values())
    assert all(value.grad is None or value.grad.isfinite().all() for value in model.parameters())


@each
@pytest.mark.parametrize("wild", [1.0, 1e4])
def test_detections_lie_in_their_images_in_order_of_their_scores(name: str, wild: float) -> None:
    module, section, _, outputs = outputs_of(name)
    outputs = {**outputs, "deltas": outputs["deltas"] * wild} if "deltas" in outputs else outputs
    found = module.decode(outputs, SIZES, section.decode)
    assert len(found) == 2
    for record, (height, width) in zip(found, SIZES, strict=True):
        count = len(record["boxes"])
        assert record["boxes"].shape == (count, 4)
        assert record["labels"].shape == record["scores"].shape == (count,)
        assert (record["boxes"] >= 0).all()
        assert (record["boxes"] <= torch.tensor([width, height, width, height]) + 1e-3).all()
        assert (record["boxes"][:, 2:] >= record["boxes"][:, :2]).all()
        assert ((record["labels"] >= 1) & (record["labels"] < 4)).all()
        assert (record["scores"].diff() <= 0).all()
        assert count <= section.decode.max_per_image


@each
def test_one_image_alone_is_detected_as_in_a_batch(name: str) -> None:
    module, section, _, outputs = outputs_of(name)
    both = module.decode(outputs, SIZES, section.decode)
    alone = module.decode(outputs_of(name, images(section)[1:])[3], SIZES[1:], section.decode)
    torch.testing.assert_close(both[1]["scores"], alone[0]["scores"], atol=1e-4, rtol=1e-3)
