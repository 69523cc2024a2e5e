from types import ModuleType
from typing import Any

import pytest
from ruamel.yaml import YAML

from commands.write_deps import ROOT
from src import plugins
from src.detection.steps import Steps, in_steps, problem
from src.errors import InputError

SECTIONS = YAML(typ="safe").load((ROOT / "params.yaml").read_text())["detectors"]
IN_STEPS = [name for name in plugins.names("detectors") if hasattr(plugins.load("detectors", name), "STEPS")]
each = pytest.mark.parametrize("name", IN_STEPS)


def section(name: str, lengths: list[int] | None) -> tuple[ModuleType, Any]:
    """A detector's file, and its section with steps of so many epochs."""
    module = plugins.load("detectors", name)
    of_loss = {**SECTIONS[name]["loss"], module.STEPS.key: lengths}
    return module, module.Params.model_validate({**SECTIONS[name], "loss": of_loss})


def made(name: str, epochs: int = 1) -> tuple[Steps, list[int]]:
    """A network in steps, and the epochs of each."""
    module = plugins.load("detectors", name)
    lengths = [epochs] * len(module.STEPS.learning)
    module, found = section(name, lengths)
    net = in_steps(module, module.build(4, found.model), found.loss, sum(lengths))
    assert isinstance(net, Steps)
    return net, lengths


def test_two_detectors_have_steps() -> None:
    assert IN_STEPS == ["fast_rcnn", "faster_rcnn"]


@each
def test_every_value_of_the_module_is_in_exactly_one_part(name: str) -> None:
    net, _ = made(name)
    parts = {part for step in net.learning for part in step}
    for value in net.state_dict():
        assert sum(value.startswith(f"{part}.") for part in parts) == 1, value


@each
def test_the_values_that_learn_and_the_layers_in_train_mode_are_those_of_the_step(name: str) -> None:
    net, lengths = made(name, epochs=2)
    for epoch in range(sum(lengths) + 1):
        net.train()
        net.enter(epoch)
        step = min(epoch // 2, len(lengths) - 1)
        assert net.step == step
        parts = tuple(f"{part}." for part in net.learning[step])
        assert all(value.requires_grad == key.startswith(parts) for key, value in net.named_parameters())
        leaves = {key: layer for key, layer in net.named_modules() if not list(layer.children())}
        assert all(layer.training == f"{key}.".startswith(parts) for key, layer in leaves.items())


@each
def test_the_step_depends_on_the_epoch_alone(name: str) -> None:
    (net, lengths), (other, _) = made(name), made(name)
    for epoch in [*range(len(lengths)), 0, len(lengths) - 1]:
        net.train()
        net.enter(epoch)
    other.train()
    other.enter(len(lengths) - 1)
    learning = [[key for key, value in one.named_parameters() if value.requires_grad] for one in (net, other)]
    assert learning[0] == learning[1]
    assert {key for key, layer in net.named_modules() if layer.training} == {
        key for key, layer in other.named_modules() if layer.training
    }


@each
def test_steps_that_are_not_as_long_as_the_training_are_refused_in_one_sentence(name: str) -> None:
    module = plugins.load("detectors", name)
    lengths = [2] * len(module.STEPS.learning)
    module, found = section(name, lengths)
    net = module.build(4, found.model)
    with pytest.raises(InputError) as error:
        in_steps(module, net, found.loss, 5)
    assert str(error.value) == (
        f"detectors.{name}.loss.{module.STEPS.key} = {lengths}: {sum(lengths)} epochs, and train.epochs is 5: make "
        "them equal"
    )
    assert problem(module, found.loss, sum(lengths)) is None


@pytest.mark.parametrize("name", plugins.names("detectors"))
def test_by_default_all_parts_are_trained_at_once(name: str) -> None:
    module = plugins.load("detectors", name)
    found = module.Params.model_validate(SECTIONS[name])
    assert in_steps(module, module.build(4, found.model), found.loss, 5) is None
