from pathlib import Path
from typing import Any

import pytest
import torch
from lightning_fabric import Fabric
from torch import Tensor, nn

from src.classification.batches import LabelledBatches
from src.classification.params import Recipe
from src.classification.running import predict, start
from src.classification.training import freeze, train
from src.files.labelled_images import LabelledImages
from src.training.loading import Loader
from src.training.loop import Run
from tests.labelled import INPUT, RECIPE, digits
from tests.training.test_loop import SETTINGS

STEPS = SETTINGS.model_copy(update={"batch_size": 10, "epochs": 3, "schedule": "constant", "best_by": "val_accuracy"})


class Small(nn.Module):
    """A network of a body with BatchNorm and a last layer."""

    def __init__(self) -> None:
        super().__init__()
        self.body = nn.Sequential(nn.Conv2d(3, 4, 3, stride=4), nn.BatchNorm2d(4), nn.ReLU(), nn.Dropout(0.2))
        self.fc = nn.Linear(4 * 8 * 8, 10)

    def forward(self, images: Tensor) -> Tensor:
        return self.fc(self.body(images).flatten(1))


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> LabelledImages:
    return digits(tmp_path_factory.mktemp("digits") / "digits.zip")


def recipe(**changes: Any) -> Recipe:
    return RECIPE.model_copy(update=changes)


def trained(data: LabelledImages, chosen: Recipe = RECIPE, fresh: list[str] | None = None, **more: Any) -> Any:
    """Train a network; return its values before the training, the trained network, and the rows of figures."""
    model, _ = start(Small, {}, "", 0)
    before = {name: value.clone() for name, value in model.state_dict().items()}
    settings = STEPS.model_copy(update=more.pop("settings", {}))
    ids = data.ids("train"), more.pop("held_out", data.ids("val"))
    fabric = Fabric(accelerator="cpu", devices=1, precision=settings.precision)
    history = train(Run(fabric, settings, seed=1, **more), model, fresh or [], data, *ids, chosen)
    return before, model, history


def changed(before: dict[str, Tensor], after: nn.Module) -> set[str]:
    return {name for name, value in after.state_dict().items() if not torch.equal(value, before[name])}


EVERYTHING = set(Small().state_dict())
BODY = {name for name in EVERYTHING if name.startswith("body")}


def test_frozen_layers_keep_weights_and_batch_statistics(data: LabelledImages) -> None:
    """The tutorial freezes all but the last child of a wrapper with one child, so nothing, and never the statistics."""
    before, after, _ = trained(data, recipe(freeze_epochs=3), settings={"best_by": "last"})
    assert changed(before, after) == EVERYTHING - BODY
    assert not changed(before, after) & {"body.1.running_mean", "body.1.running_var", "body.1.num_batches_tracked"}


@pytest.mark.parametrize("optimizer", ["sgd", "adam", "adamw", "adabelief", "ranger"])
def test_after_the_frozen_epochs_everything_learns(data: LabelledImages, optimizer: str) -> None:
    settings = {"best_by": "last", "optimizer": optimizer}
    before, after, _ = trained(data, recipe(freeze_epochs=2), settings=settings)
    assert changed(before, after) == EVERYTHING
    assert all(value.requires_grad for value in after.parameters())


def test_layers_that_start_at_random_are_not_frozen(data: LabelledImages) -> None:
    before, after, _ = trained(data, recipe(freeze_epochs=3), fresh=["body.0"], settings={"best_by": "last"})
    assert changed(before, after) == EVERYTHING - {name for name in EVERYTHING if name.startswith("body.1")}


def test_freezing_leaves_dropout_on() -> None:
    model = Small().train()
    freeze(model, ["fc"])
    modes = {name: layer.training for name, layer in model.named_modules()}
    assert not modes["body.1"]
    assert modes["body.3"]


@pytest.mark.parametrize("killed_at", [1, 2])
def test_a_training_that_was_interrupted_while_frozen_or_after_ends_the_same(
    data: LabelledImages, tmp_path: Path, killed_at: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    chosen, checkpoint = recipe(freeze_epochs=2), tmp_path / "state.pt"
    _, whole, history = trained(data, chosen)
    seen = LabelledBatches.__getitem__

    def killed(self: LabelledBatches, index: int) -> dict[str, Any]:
        if self.shuffle and index == killed_at * self.per_epoch + 1:
            raise KeyboardInterrupt
        return seen(self, index)

    monkeypatch.setattr(LabelledBatches, "__getitem__", killed)
    with pytest.raises(KeyboardInterrupt):
        trained(data, chosen, checkpoint=checkpoint)
    monkeypatch.undo()
    _, resumed, again = trained(data, chosen, checkpoint=checkpoint)
    assert again == history
    assert not changed(whole.state_dict(), resumed)


@pytest.mark.filterwarnings("ignore:This DataLoader will create")  # more workers than this machine may have CPUs
@pytest.mark.parametrize("workers", [2, 4])
def test_a_training_does_not_depend_on_the_number_of_workers(data: LabelledImages, workers: int) -> None:
    chosen = recipe(augment=RECIPE.augment.model_copy(update={"rotate": 10.0}))
    _, alone, history = trained(data, chosen)
    _, together, again = trained(data, chosen, workers=workers)
    assert again == history
    assert not changed(alone.state_dict(), together)


@pytest.mark.parametrize("best_by", ["val_accuracy", "val_macro_f1", "val_loss", "val_calibration_error"])
def test_the_best_epoch_may_be_chosen_by_any_figure(data: LabelledImages, best_by: str) -> None:
    _, _, history = trained(data, settings={"best_by": best_by})
    assert all(best_by in row for row in history)


def test_without_held_out_images_the_last_epoch_is_kept(data: LabelledImages) -> None:
    _, _, history = trained(data, held_out=[])
    assert [sorted(row) for row in history] == [["epoch", "loss", "lr"]] * 3


@pytest.mark.parametrize(
    "changes",
    [
        {"augment": RECIPE.augment.model_copy(update={"mixup": 0.4, "cutmix": 1.0, "rotate": 10.0})},
        {"loss": RECIPE.loss.model_copy(update={"focal_gamma": 1.5, "label_smoothing": 0.1, "balanced": True})},
        {"loss": RECIPE.loss.model_copy(update={"class_weights": {"3": 5.0}})},
    ],
)
def test_each_part_of_the_recipe_acts_on_the_weights(data: LabelledImages, changes: dict[str, Any]) -> None:
    _, plain, _ = trained(data)
    _, other, history = trained(data, recipe(**changes))
    assert changed(plain.state_dict(), other)
    assert all(value.isfinite().all() for value in other.parameters())
    assert len(history) == 3


def test_predictions_of_the_mirror_image_are_averaged(data: LabelledImages) -> None:
    model, _ = start(Small, {}, "", 0)
    batches = LabelledBatches(data, data.ids("test"), INPUT, batch_size=7)
    labels, once = predict(model.eval(), Loader(batches))
    _, both = predict(model, Loader(batches), flip=True)
    assert labels.tolist() == [data.label(image_id) for image_id in data.ids("test")]
    assert once.shape == both.shape == (20, 10)
    with torch.inference_mode():
        mirrored = torch.cat([model(batches[i]["images"].flip(3)) for i in batches.epoch(0)]).double().softmax(1)
    torch.testing.assert_close(torch.from_numpy(both), (torch.from_numpy(once) + mirrored) / 2)


def test_weights_that_fit_are_loaded_and_the_rest_is_named() -> None:
    source = Small()
    weights = {name: value for name, value in source.state_dict().items() if name.startswith("body")}
    model, fresh = start(Small, {**weights, "fc.weight": torch.zeros(3, 3)}, "classifiers.x.weights", 0)
    assert fresh == ["fc"]
    assert torch.equal(model.get_parameter("body.0.weight"), source.body[0].weight)


def test_a_file_without_batchnorms_count_of_batches_leaves_no_layer_at_random() -> None:
    weights = {name: value for name, value in Small().state_dict().items() if "num_batches" not in name}
    _, fresh = start(Small, weights, "classifiers.x.weights", 0)
    assert fresh == []
