from pathlib import Path

import pytest
from pydantic import ValidationError

from src.errors import InputError
from src.params import ParamsError, Sections, read_params
from src.proposals.selective_search import SelectiveSearch
from src.rcnn.mining import TrainSvm
from src.rcnn.warp import Warp
from src.schema import Params
from src.training.settings import Train, TrainOverrides

ROOT = Path(__file__).parents[1]
TRAIN = """\
train:
  optimizer: sgd
  lr: 0.001
  momentum: 0.9
  weight_decay: 0.0005
  bias_lr_scale: 1.0
  decay_biases: true
  batch_size: 128
  epochs: 10
  batches_per_epoch: null
  schedule: constant
  lr_step: 1
  lr_milestones: []
  lr_gamma: 0.1
  lr_patience: 5
  restart_epochs: 7
  restart_factor: 2
  warmup_epochs: 0.0
  grad_clip: null
  best_by: val_loss
  ema_decay: null
  precision: 32-true
  validate_every: 1
  patience: null
"""
SEARCH = (
    "selective_search:\n  engine: own\n  mode: fast\n  texture: true\n  ranked: false\n  width: null\n"
    "  min_side: 20\n  nms_thresh: null\n"
    "  max_proposals: null\n"
)


class Chosen(Sections):
    train: Train
    selective_search: SelectiveSearch


@pytest.fixture
def path(tmp_path: Path) -> Path:
    (tmp_path / "params.yaml").write_text(TRAIN + SEARCH + "another_stage:\n  key: 1\n")
    return tmp_path / "params.yaml"


def test_the_parameters_of_the_repository_are_right() -> None:
    assert read_params(ROOT / "params.yaml", Params).train_bbox.ridge_lambda


def change(path: Path, old: str, new: str) -> Path:
    assert old in path.read_text()
    path.write_text(path.read_text().replace(old, new))
    return path


def refusal(path: Path) -> str:
    with pytest.raises(ParamsError) as error:
        read_params(path, Chosen)
    assert isinstance(error.value, InputError)
    return str(error.value)


def test_sections_of_other_stages_are_passed_over(path: Path) -> None:
    params = read_params(path, Chosen)
    assert params.train.lr == 0.001
    assert params.train.grad_clip is None
    assert params.selective_search.min_side == 20


@pytest.mark.parametrize("text", ["1e-05", "1e-5", "1E-05", "0.00001"])
def test_the_exponent_that_dvc_writes_is_a_number(path: Path, text: str) -> None:
    assert read_params(change(path, "lr: 0.001", f"lr: {text}"), Chosen).train.lr == 1e-5


def test_an_integer_is_a_rate_too(path: Path) -> None:
    assert read_params(change(path, "lr: 0.001", "lr: 1"), Chosen).train.lr == 1.0


@pytest.mark.parametrize(
    ("old", "new", "parts"),
    [
        ("lr: 0.001", "lr: abc", ["params.yaml", "train.lr", "'abc'", "valid number"]),
        ("lr: 0.001", "lr: '0.001'", ["train.lr", "'0.001'", "valid number"]),
        ("lr: 0.001", "lr: 0", ["train.lr", "0", "greater than 0"]),
        ("lr: 0.001", "lr: .nan", ["train.lr", "nan"]),
        ("lr: 0.001", "lr: .inf", ["train.lr", "inf", "finite"]),
        ("epochs: 10", "epochs: -3", ["train.epochs", "-3", "greater than or equal to 0"]),
        ("epochs: 10", "epochs: 2.5", ["train.epochs", "2.5", "integer"]),
        ("epochs: 10", "epochs: true", ["train.epochs", "True", "integer"]),
        ("epochs: 10", "epoch: 10", ["train.epoch", "10", "no such parameter"]),
        ("epochs: 10", "", ["train.epochs is missing"]),
        (
            "optimizer: sgd",
            "optimizer: rmsprop",
            ["train.optimizer", "'rmsprop'", "'sgd', 'adam', 'adamw', 'adabelief' or 'ranger'"],
        ),
        ("momentum: 0.9", "momentum: 1.5", ["train.momentum", "1.5", "less than or equal to 1"]),
        ("max_proposals: null", "max_proposals: 0", ["selective_search.max_proposals", "0"]),
        ("width: null", "width: 0", ["selective_search.width", "0"]),
        (SEARCH, "", ["selective_search is missing"]),
        (SEARCH, "selective_search:\n", ["selective_search", "None"]),
    ],
)
def test_a_wrong_parameter_is_named_with_its_value_and_what_was_expected(
    path: Path, old: str, new: str, parts: list[str]
) -> None:
    message = refusal(change(path, old, new))
    assert len(message.splitlines()) == (2 if "no such parameter" in parts else 1)  # epochs is missing too
    for part in parts:
        assert part in message


def test_every_wrong_parameter_is_listed_at_once(path: Path) -> None:
    change(change(change(path, "lr: 0.001", "lr: abc"), "epochs: 10", "epochs: -1"), "min_side: 20", "min_side: x")
    keys = [line.split(": ")[1].split(" ")[0] for line in refusal(path).splitlines()]
    assert sorted(keys) == ["selective_search.min_side", "train.epochs", "train.lr"]


@pytest.mark.parametrize("text", ["train: [1, 2", "train: {lr: 1}\ntrain: {lr: 2}", "\tx: 1"])
def test_what_is_no_yaml_is_an_error_that_names_the_file(path: Path, text: str) -> None:
    path.write_text(text)
    assert "params.yaml is not valid YAML" in refusal(path)


@pytest.mark.parametrize("text", ["", "- 1\n", "just words\n"])
def test_what_holds_no_sections_is_an_error(path: Path, text: str) -> None:
    path.write_text(text)
    assert "must hold sections" in refusal(path)


def test_overrides_change_the_keys_that_are_set_and_no_other(path: Path) -> None:
    base = read_params(path, Chosen).train
    assert TrainOverrides(lr=0.5, epochs=3).over(base) == base.model_copy(update={"lr": 0.5, "epochs": 3})
    assert TrainOverrides().over(base) == base
    changed = base.model_copy(update={"lr": 0.7, "lr_step": 4, "grad_clip": 1.0})
    assert TrainOverrides(lr=0.5).over(changed) == changed.model_copy(update={"lr": 0.5})
    assert TrainOverrides(momentum=0.0).over(base).momentum == 0.0  # 0 is a value, not a missing one


def test_an_override_can_take_away_a_step_or_a_clip(path: Path) -> None:
    base = read_params(path, Chosen).train.model_copy(update={"patience": 4, "grad_clip": 1.0})
    over = TrainOverrides.model_validate({"patience": None, "grad_clip": None}).over(base)
    assert (over.patience, over.grad_clip) == (None, None)


def test_what_every_trainer_needs_cannot_be_overridden_by_nothing() -> None:
    with pytest.raises(ValidationError, match="lr"):
        TrainOverrides.model_validate({"lr": None})


def test_overrides_are_as_strict_as_what_they_override() -> None:
    assert set(TrainOverrides.model_fields) == set(Train.model_fields)
    for wrong in ({"lr": "abc"}, {"lr": -1.0}, {"epochs": -1}, {"unknown": 1}, {"optimizer": "rmsprop"}):
        with pytest.raises(ValidationError):
            TrainOverrides.model_validate(wrong)


def test_rules_across_keys_are_checked() -> None:
    with pytest.raises(ValidationError, match="leaves nothing of size 64"):
        Warp(size=64, context=32)
    assert Warp(size=65, context=32).context == 32
    with pytest.raises(ValidationError, match="easy_margin must not be above hard_margin"):
        TrainSvm.model_validate(
            {
                **{"solver": "sgd", "c": 1.0, "bias_multiplier": 1.0, "positive_weight": 1.0, "neg_iou_thresh": 0.3},
                **{"neg_iou_zero": True, "neg_min_area": 0.0, "only_images_with_objects": False, "max_held": 9},
                **{"first_negatives": 1, "rounds": 1, "retrain_every": 1, "hard_margin": -1.0, "easy_margin": -0.9},
                "sgd": {"lr": 0.1, "lr_step": 1, "lr_gamma": 0.1, "epochs": 1},
            }
        )


def test_sections_are_frozen(path: Path) -> None:
    with pytest.raises(ValidationError, match="frozen"):
        read_params(path, Chosen).train.lr = 1.0
