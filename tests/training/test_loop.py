import math
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
from lightning_fabric import Fabric
from lightning_fabric.plugins.precision import MixedPrecision
from pytorch_optimizer import AdaBelief, Ranger
from torch import Tensor, nn

from src.errors import InputError
from src.training import loop
from src.training.loop import Run, kept_row
from src.training.optimizers import parameter_groups
from src.training.settings import Train

SETTINGS = Train(
    optimizer="sgd",
    lr=0.1,
    momentum=0.9,
    weight_decay=0.0,
    bias_lr_scale=1.0,
    decay_biases=True,
    batch_size=4,
    epochs=5,
    batches_per_epoch=None,
    schedule="step",
    lr_step=2,
    lr_milestones=[],
    lr_gamma=0.1,
    lr_patience=1,
    restart_epochs=1,
    restart_factor=1,
    warmup_epochs=0.0,
    grad_clip=None,
    ema_decay=None,
    precision="32-true",
    validate_every=1,
    best_by="val",
    patience=None,
)


@pytest.fixture
def fabric() -> Fabric:
    return Fabric(accelerator="cpu", devices=1)


def half_precision() -> Fabric:
    """Scale gradients as on a GPU; Fabric alone would replace 16-mixed by bf16-mixed on a CPU."""
    return Fabric(accelerator="cpu", devices=1, plugins=[MixedPrecision("16-mixed", "cpu")])


def fit(
    fabric: Fabric, model: nn.Module, batches: Any, losses: Any, settings: Train, *, seed: int = 0, **more: Any
) -> list[loop.Row]:
    """Train without workers; `more` may have a checkpoint."""
    run = Run(fabric, settings, seed, checkpoint=more.pop("checkpoint", None))
    return loop.fit(run, model, batches, losses, **more)


def network() -> nn.Module:
    torch.manual_seed(0)
    return nn.Sequential(nn.Linear(3, 8), nn.Dropout(0.5), nn.BatchNorm1d(8), nn.Linear(8, 1))


def batches(epoch: int) -> list[dict[str, Any]]:
    generator = torch.Generator().manual_seed(epoch)
    return [{"x": torch.randn(4, 3, generator=generator), "ids": [f"{epoch}-{index}"]} for index in range(3)]


def losses(model: nn.Module, batch: dict[str, Any]) -> dict[str, Tensor]:
    noise = torch.rand(4, 1)  # uses the loop's random state, as an augmentation would
    return {"loss": ((model(batch["x"]) - batch["x"].sum(1, keepdim=True) - noise) ** 2).mean()}


def state(model: nn.Module) -> dict[str, Tensor]:
    return {name: tensor.clone() for name, tensor in model.state_dict().items()}


def assert_same(first: dict[str, Tensor], second: dict[str, Tensor]) -> None:
    for name, tensor in first.items():
        torch.testing.assert_close(second[name], tensor, rtol=0, atol=0)


class Line(nn.Module):
    """A model of one weight. Its loss is the weight itself, so the gradient is 1 at each step."""

    def __init__(self) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.zeros(1))


def slope(factor: float = 1.0) -> Callable[[Line, Any], dict[str, Tensor]]:
    return lambda model, _: {"loss": factor * model.weight.sum()}


def test_the_rate_steps_down_by_epochs_not_by_batches(fabric: Fabric, monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[float] = []
    step = torch.optim.SGD.step

    def recorded(self: torch.optim.SGD, *args: Any, **named: Any) -> Any:
        seen.append(self.param_groups[0]["lr"])
        return step(self, *args, **named)

    monkeypatch.setattr(torch.optim.SGD, "step", recorded)
    history = fit(fabric, network(), batches, losses, SETTINGS)
    expected = [0.1, 0.1, 0.01, 0.01, 0.001]
    assert [row["lr"] for row in history] == pytest.approx(expected)
    assert seen == pytest.approx([rate for rate in expected for _ in range(3)])
    per_batch = [0.1 * 0.1 ** (index // 2) for index in range(15)]  # the bug: after a few batches nothing is learnt
    assert seen != pytest.approx(per_batch)


def test_without_a_step_the_rate_is_constant(fabric: Fabric) -> None:
    history = fit(fabric, network(), batches, losses, SETTINGS.model_copy(update={"schedule": "constant"}))
    assert [row["lr"] for row in history] == [0.1] * 5
    assert [row["epoch"] for row in history] == [1, 2, 3, 4, 5]


def test_groups_learn_at_their_own_multiple_of_the_rate(fabric: Fabric) -> None:
    slow, fast = Line(), Line()
    groups = [
        {"params": list(slow.parameters()), "lr_scale": 1.0},
        {"params": list(fast.parameters()), "lr_scale": 10.0},
    ]
    settings = SETTINGS.model_copy(update={"momentum": 0.0, "epochs": 3})
    both = nn.ModuleList([slow, fast])
    fit(fabric, both, batches, lambda *_: {"loss": slow.weight.sum() + fast.weight.sum()}, settings, groups=groups)
    assert slow.weight.item() == pytest.approx(-3 * (0.1 + 0.1 + 0.01))
    assert fast.weight.item() == pytest.approx(10 * slow.weight.item())


def test_without_groups_of_their_own_parameters_have_the_groups_of_every_trainer(
    fabric: Fabric, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Frozen parameters are in none of them."""
    model, seen = network(), []
    model[0].requires_grad_(False)
    make = loop.make_optimizer
    monkeypatch.setattr(loop, "make_optimizer", lambda settings, groups: seen.append(groups) or make(settings, groups))
    fit(fabric, model, batches, losses, SETTINGS.model_copy(update={"epochs": 1}))
    expected = parameter_groups(model, (), 1.0, SETTINGS)
    for group, wanted in zip(seen[0], expected, strict=True):
        assert wanted.keys() <= group.keys()
        assert [id(value) for value in group["params"]] == [id(value) for value in wanted["params"]]


@pytest.mark.parametrize(
    ("name", "make"),
    [
        ("sgd", lambda p: torch.optim.SGD(p, lr=0.1, momentum=0.9, weight_decay=0.05)),
        ("adam", lambda p: torch.optim.Adam(p, lr=0.1, weight_decay=0.05)),
        ("adamw", lambda p: torch.optim.AdamW(p, lr=0.1, weight_decay=0.05)),
        ("adabelief", lambda p: AdaBelief(p, lr=0.1, weight_decay=0.05)),
        ("ranger", lambda p: Ranger(p, lr=0.1, weight_decay=0.05)),
    ],
)
def test_each_optimizer_is_its_librarys_own(
    fabric: Fabric, name: str, make: Callable[..., torch.optim.Optimizer]
) -> None:
    settings = SETTINGS.model_copy(
        update={"optimizer": name, "weight_decay": 0.05, "epochs": 2, "schedule": "constant"}
    )
    model, by_hand = nn.Linear(3, 1), nn.Linear(3, 1)
    by_hand.load_state_dict(model.state_dict())
    fit(fabric, model, batches, lambda m, batch: {"loss": (m(batch["x"]) ** 2).mean()}, settings)
    optimizer = make(by_hand.parameters())
    for epoch in range(2):
        for batch in batches(epoch):
            optimizer.zero_grad()
            (by_hand(batch["x"]) ** 2).mean().backward()
            optimizer.step()
    torch.testing.assert_close(model.weight, by_hand.weight)


def test_losses_are_summed_and_averaged_by_name(fabric: Fabric) -> None:
    model, settings = Line(), SETTINGS.model_copy(update={"momentum": 0.0, "epochs": 1})
    history = fit(fabric, model, batches, lambda m, _: {"a": m.weight.sum(), "b": 2 * m.weight.sum() + 1}, settings)
    assert model.weight.item() == pytest.approx(-0.9)  # three steps with a gradient of 3
    assert history[0]["a"] == pytest.approx((0 - 0.3 - 0.6) / 3)
    assert history[0]["b"] == pytest.approx(1 + 2 * history[0]["a"])


def test_the_gradient_is_clipped_to_its_largest_norm(fabric: Fabric) -> None:
    settings = SETTINGS.model_copy(update={"momentum": 0.0, "epochs": 1, "grad_clip": 0.5})
    model = Line()
    fit(fabric, model, batches, slope(100.0), settings)
    assert model.weight.item() == pytest.approx(-0.1 * 3 * 0.5, rel=1e-4)
    model = Line()
    fit(fabric, model, batches, slope(0.25), settings)  # a smaller norm is not clipped
    assert model.weight.item() == pytest.approx(-0.1 * 3 * 0.25)


def test_training_has_dropout_and_validation_has_none(fabric: Fabric) -> None:
    seen: dict[str, list[bool]] = {"train": [], "validate": []}
    grads: list[bool] = []

    def watched(model: nn.Module, batch: Any) -> dict[str, Tensor]:
        seen["train"].append(model.training)
        return losses(model, batch)

    def validate(model: nn.Module) -> Iterator[tuple[str, float]]:
        seen["validate"].append(model.training)
        x = torch.ones(8, 3)
        grads.append(model(x).requires_grad)
        assert torch.equal(model(x), model(x))  # with dropout, two passes would differ
        yield "val", 0.0

    model = network()
    model.eval()
    fit(fabric, model, batches, watched, SETTINGS, validate=validate)
    assert seen == {"train": [True] * 15, "validate": [False] * 5}
    assert grads == [False] * 5


@pytest.mark.parametrize(
    ("figures", "kept"), [([1, 3, 2, 3, 0], 2), ([5, 4, 3, 2, 1], 1), ([1, 2, 3, 4, 5], 5), ([0, 0, 0, 0, 0], 1)]
)
def test_the_weights_of_the_best_epoch_are_kept_of_equals_the_first(
    fabric: Fabric, figures: list[float], kept: int
) -> None:
    wanted = iter(figures)
    settings = SETTINGS.model_copy(update={"momentum": 0.0, "schedule": "constant"})
    model = Line()
    history = fit(fabric, model, batches, slope(), settings, validate=lambda _: [("val", next(wanted))])
    assert model.weight.item() == pytest.approx(-0.3 * kept)
    assert [row["val"] for row in history] == figures


def test_without_a_choice_the_last_epoch_is_kept(fabric: Fabric) -> None:
    settings = SETTINGS.model_copy(update={"momentum": 0.0, "schedule": "constant"})
    model, wanted = Line(), iter([5, 4, 3, 2, 1])
    settings = settings.model_copy(update={"best_by": "last"})
    history = fit(fabric, model, batches, slope(), settings, validate=lambda _: [("val", next(wanted))])
    assert model.weight.item() == pytest.approx(-0.3 * 5)
    assert kept_row(history, settings) == history[-1]


def test_a_figure_that_validation_does_not_give_is_an_error_with_those_it_gives(fabric: Fabric) -> None:
    settings = SETTINGS.model_copy(update={"best_by": "map"})
    with pytest.raises(InputError, match=r"best_by = 'map' is not a validation figure: use one of val_a, val_b, last"):
        fit(fabric, Line(), batches, slope(), settings, validate=lambda _: [("val_a", 1.0), ("val_b", 1.0)])


@pytest.mark.parametrize("value", [math.nan, math.inf])
def test_a_figure_that_is_not_finite_cannot_choose_an_epoch(fabric: Fabric, tmp_path: Path, value: float) -> None:
    """No later figure is better than NaN, so the worst epoch would be kept; the epoch before stays in its file."""
    wanted, checkpoint = iter([1.0, value]), tmp_path / "state.pt"
    with pytest.raises(FloatingPointError, match=rf"^val is {value} after epoch 2: lower train\.lr"):
        fit(
            fabric,
            Line(),
            batches,
            slope(),
            SETTINGS,
            validate=lambda _: [("val", next(wanted))],
            checkpoint=checkpoint,
        )
    assert len(torch.load(checkpoint)["history"]) == 1


@pytest.mark.parametrize(
    ("changes", "validated", "expected"),
    [
        ({"best_by": "val_loss", "patience": 2}, False, "train.best_by = val_loss and train.patience = 2"),
        ({"best_by": "last", "patience": 2}, True, "train.patience = 2"),
        ({"best_by": "last"}, False, None),
        ({"best_by": "val", "patience": 2}, True, None),
    ],
)
def test_one_line_tells_which_settings_have_no_effect_as_nothing_chooses(
    fabric: Fabric,
    capsys: pytest.CaptureFixture[str],
    changes: dict[str, Any],
    validated: bool,
    expected: str | None,
) -> None:
    settings = SETTINGS.model_copy(update={"epochs": 1, **changes})
    fit(fabric, Line(), batches, slope(), settings, validate=(lambda _: [("val", 1.0)]) if validated else None)
    found = capsys.readouterr().out
    assert found.startswith(f"no effect of {expected}:") if expected else found == ""


def test_a_loss_is_better_where_it_is_lower(fabric: Fabric) -> None:
    settings = SETTINGS.model_copy(update={"momentum": 0.0, "schedule": "constant", "best_by": "val_loss"})
    model, wanted = Line(), iter([5, 4, 6, 7, 4])
    fit(fabric, model, batches, slope(), settings, validate=lambda _: [("val_loss", next(wanted))])
    assert model.weight.item() == pytest.approx(-0.3 * 2)


@pytest.mark.parametrize(("every", "expected"), [(1, [1, 2, 3, 4, 5]), (2, [2, 4, 5]), (9, [5])])
def test_validation_comes_every_so_many_epochs_and_at_the_end(fabric: Fabric, every: int, expected: list[int]) -> None:
    settings = SETTINGS.model_copy(update={"validate_every": every})
    history = fit(fabric, network(), batches, losses, settings, validate=lambda _: [("val", 1.0)])
    assert [row["epoch"] for row in history if "val" in row] == expected


def test_patience_ends_the_training(fabric: Fabric) -> None:
    settings = SETTINGS.model_copy(update={"patience": 2, "momentum": 0.0, "schedule": "constant"})
    model, wanted = Line(), iter([1, 3, 2, 3, 9])
    history = fit(fabric, model, batches, slope(), settings, validate=lambda _: [("val", next(wanted))])
    assert len(history) == 4
    assert model.weight.item() == pytest.approx(-0.3 * 2)


def test_the_average_of_the_weights_is_validated_and_kept(fabric: Fabric) -> None:
    settings = SETTINGS.model_copy(update={"ema_decay": 0.5, "momentum": 0.0, "schedule": "constant", "epochs": 1})
    model, seen = Line(), []
    fit(fabric, model, batches, slope(), settings, validate=lambda m: seen.append(m.weight.item()) or [("val", 0.0)])
    average = 0.0  # the weights are 0, then -0.1, -0.2, -0.3; the decays 1 / 10, 2 / 11, 3 / 12
    for step, weight in enumerate((-0.1, -0.2, -0.3)):
        average += (weight - average) * (1 - (1 + step) / (10 + step))
    assert model.weight.item() == pytest.approx(average)
    assert seen == [pytest.approx(model.weight.item())]


def test_a_plateau_lowers_the_rate_where_the_chosen_figure_does_not_improve(fabric: Fabric) -> None:
    """The tutorial's warm-up calls the step of its plateau scheduler without a figure."""
    settings = SETTINGS.model_copy(update={"schedule": "plateau", "lr_patience": 1, "best_by": "val_loss"})
    wanted = iter([5, 4, 4, 3, 6])  # worse after the third and the fifth epoch
    history = fit(fabric, network(), batches, losses, settings, validate=lambda _: [("val_loss", next(wanted))])
    assert [row["lr"] for row in history] == pytest.approx([0.1, 0.1, 0.1, 0.01, 0.01])


@pytest.mark.parametrize("without", [{"validate": None}, {"settings": {"best_by": "last"}}])
def test_a_plateau_without_a_figure_is_an_error(fabric: Fabric, without: dict[str, Any]) -> None:
    settings = SETTINGS.model_copy(update={"schedule": "plateau", **without.get("settings", {})})
    with pytest.raises(InputError, match=r"train\.schedule = plateau needs a figure"):
        fit(fabric, Line(), batches, slope(), settings, validate=without.get("validate", lambda _: [("val", 0.0)]))


def test_what_differs_from_epoch_to_epoch_is_set_in_train_mode_before_each(fabric: Fabric) -> None:
    net, seen, modes = network(), [], []

    def prepare(model: nn.Module, epoch: int) -> None:
        seen.append((epoch, model is net, model.training))
        model.eval()

    def watched(model: nn.Module, batch: Any) -> dict[str, Tensor]:
        modes.append(net.training)
        return losses(model, batch)

    fit(fabric, net, batches, watched, SETTINGS, prepare=prepare)
    assert seen == [(epoch, True, True) for epoch in range(5)]
    assert modes == [False] * 15


@pytest.mark.parametrize("optimizer", ["sgd", "adam", "adabelief", "ranger"])
@pytest.mark.parametrize("killed_at", [0, 1, 3, 4])
@pytest.mark.parametrize(
    "extras",
    [
        {},
        {"ema_decay": 0.9, "schedule": "cosine", "warmup_epochs": 1.5, "patience": 9},
        {"schedule": "plateau", "lr_patience": 1},
        {"schedule": "warm_restarts", "restart_epochs": 2},
    ],
)
def test_a_resumed_training_is_an_uninterrupted_one_bit_for_bit(
    fabric: Fabric, tmp_path: Path, optimizer: str, killed_at: int, extras: dict[str, Any]
) -> None:
    """The published SSD code loses the optimizer's state, and its schedule starts again."""
    settings = SETTINGS.model_copy(update={"optimizer": optimizer, **extras})
    validate = {"validate": lambda m: [("val", -m(torch.ones(2, 3)).abs().sum().item())]}
    whole = network()
    expected = fit(fabric, whole, batches, losses, settings, seed=3, **validate)
    checkpoint = tmp_path / "state.pt"

    def killed(model: nn.Module, batch: dict[str, Any]) -> dict[str, Tensor]:
        if batch["ids"] == [f"{killed_at}-1"]:
            raise KeyboardInterrupt
        return losses(model, batch)

    with pytest.raises(KeyboardInterrupt):
        fit(fabric, network(), batches, killed, settings, seed=3, checkpoint=checkpoint, **validate)
    assert checkpoint.exists() == (killed_at > 0)
    resumed = network()
    asked: list[int] = []

    def counted(epoch: int) -> list[dict[str, Any]]:
        asked.append(epoch)
        return batches(epoch)

    torch.rand(killed_at + 1)  # random numbers that the process used before have no effect
    assert fit(fabric, resumed, counted, losses, settings, seed=3, checkpoint=checkpoint, **validate) == expected
    assert asked == list(range(killed_at, 5))
    assert_same(state(whole), state(resumed))
    assert checkpoint.exists()  # until the outputs are written
    again = network()
    assert fit(fabric, again, counted, losses, settings, seed=3, checkpoint=checkpoint, **validate) == expected
    assert asked == list(range(killed_at, 5))
    assert_same(state(whole), state(again))


def test_a_state_is_read_on_the_cpu_so_that_a_gpu_needs_no_second_place_for_it(
    fabric: Fabric, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def killed(model: nn.Module, batch: dict[str, Any]) -> dict[str, Tensor]:
        if batch["ids"] == ["1-0"]:
            raise KeyboardInterrupt
        return losses(model, batch)

    checkpoint, load, places = tmp_path / "state.pt", torch.load, []
    with pytest.raises(KeyboardInterrupt):
        fit(fabric, network(), batches, killed, SETTINGS, checkpoint=checkpoint)
    monkeypatch.setattr(torch, "load", lambda *files, **options: places.append(options) or load(*files, **options))
    fit(fabric, network(), batches, losses, SETTINGS, checkpoint=checkpoint)
    assert [options["map_location"] for options in places] == ["cpu"]


def test_the_seed_and_nothing_before_decides_what_is_drawn(fabric: Fabric) -> None:
    first, second, other = network(), network(), network()
    fit(fabric, first, batches, losses, SETTINGS, seed=1)
    torch.rand(7)
    fit(fabric, second, batches, losses, SETTINGS, seed=1)
    fit(fabric, other, batches, losses, SETTINGS, seed=2)
    assert_same(state(first), state(second))
    assert not torch.equal(first[0].weight, other[0].weight)


@pytest.mark.parametrize("seed", [5000, 2**31])
def test_any_seed_that_the_parameters_allow_trains(fabric: Fabric, seed: int) -> None:
    fit(fabric, network(), batches, losses, SETTINGS.model_copy(update={"epochs": 1}), seed=seed)


@pytest.mark.parametrize("value", [math.nan, math.inf])
def test_a_loss_that_is_not_finite_stops_and_names_loss_batch_and_images(fabric: Fabric, value: float) -> None:
    def broken(model: Line, batch: dict[str, Any]) -> dict[str, Tensor]:
        bad = value if batch["ids"] == ["1-2"] else 1.0
        return {"fine": model.weight.sum(), "box": model.weight.sum() + bad}

    model = Line()
    with pytest.raises(FloatingPointError, match=rf"box is {value} at batch 2 \(1-2\).*train\.lr"):
        fit(fabric, model, batches, broken, SETTINGS)
    assert math.isfinite(model.weight.item())


def test_a_batch_without_ids_says_so(fabric: Fabric) -> None:
    with pytest.raises(FloatingPointError, match="no ids"):
        fit(fabric, Line(), lambda _: [torch.ones(1)], lambda m, _: {"loss": m.weight.sum() * math.nan}, SETTINGS)


def test_nothing_is_written_from_a_loss_that_is_not_finite(fabric: Fabric, tmp_path: Path) -> None:
    """The last checkpoint is that of the epoch before, and no validation sees the weights."""
    seen: list[float] = []

    def broken(model: Line, batch: dict[str, Any]) -> dict[str, Tensor]:
        return {"loss": model.weight.sum() * (math.nan if batch["ids"] == ["1-0"] else 1.0)}

    def validate(model: nn.Module) -> Iterator[tuple[str, float]]:
        seen.append(model.weight.item())
        yield "val", 0.0

    checkpoint = tmp_path / "state.pt"
    with pytest.raises(FloatingPointError, match=r"batch 0 \(1-0\)"):
        fit(fabric, Line(), batches, broken, SETTINGS, validate=validate, checkpoint=checkpoint)
    assert len(torch.load(checkpoint)["history"]) == len(seen) == 1


def endless(weight: nn.Parameter, times: int) -> None:
    """Make the first gradients of a weight infinite."""
    left = [times]

    def hook(grad: Tensor) -> Tensor:
        left[0] -= 1
        return grad * math.inf if left[0] >= 0 else grad

    weight.register_hook(hook)


def test_a_gradient_that_is_not_finite_after_the_last_loss_is_an_error(fabric: Fabric, tmp_path: Path) -> None:
    model = Line()
    endless(model.weight, 1)
    with pytest.raises(FloatingPointError, match="weights are not finite"):
        fit(fabric, model, lambda _: [torch.ones(1)], slope(), SETTINGS, checkpoint=tmp_path / "state.pt")
    assert not list(tmp_path.iterdir())


def test_a_scaled_gradient_that_overflows_leaves_out_a_step_of_a_clipped_training() -> None:
    settings = SETTINGS.model_copy(update={"grad_clip": 1.0, "epochs": 1, "precision": "16-mixed", "momentum": 0.0})
    model = Line()
    endless(model.weight, 1)
    fit(half_precision(), model, batches, slope(), settings)
    assert model.weight.item() == pytest.approx(-0.1 * 2)


def test_the_scale_of_the_gradients_outlives_an_interruption(tmp_path: Path) -> None:
    """Without it, a resumed training would leave out steps until the scale has fallen again."""
    settings = SETTINGS.model_copy(update={"precision": "16-mixed", "momentum": 0.0, "epochs": 2})

    def killed(model: Line, batch: dict[str, Any]) -> dict[str, Tensor]:
        if batch["ids"] == ["1-0"]:
            raise KeyboardInterrupt
        return slope()(model, batch)

    model = Line()
    endless(model.weight, 2)
    with pytest.raises(KeyboardInterrupt):
        fit(half_precision(), model, batches, killed, settings, checkpoint=tmp_path / "state.pt")
    resumed = half_precision()
    fit(resumed, Line(), batches, slope(), settings, checkpoint=tmp_path / "state.pt")
    assert resumed.strategy.precision.state_dict()["scale"] == half_precision_scale() / 4


def half_precision_scale() -> float:
    """Return the scale with which a training in half precision starts."""
    return half_precision().strategy.precision.state_dict()["scale"]
