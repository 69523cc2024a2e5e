"""Names and networks; types and ranges are those of tests/test_params.py."""

from pathlib import Path

import pytest
from ruamel.yaml import YAML

from commands.write_deps import ROOT
from src.errors import InputError
from stages.check import run

ABSENT = object()
MOBILENET = {"detectors.rpn.model.backbone": "mobilenet_v2"}  # torchvision has weights of it


def check(out: Path, changes: dict[str, object]) -> None:
    content = YAML(typ="safe").load((ROOT / "params.yaml").read_text())
    for key, value in changes.items():
        *parts, last = key.split(".")
        section = content
        for part in parts:
            section = section[part]
        if value is ABSENT:
            del section[last]
        else:
            section[last] = value
    parameters = out.parent / "params.yaml"
    YAML(typ="safe").dump(content, parameters)
    run(parameters=parameters, metrics=out.parent / "metrics", out=out)


def test_the_committed_parameters_pass_and_the_output_is_always_the_same(tmp_path: Path) -> None:
    check(tmp_path / "one", {})
    check(tmp_path / "two", {"train.lr": 0.5})  # or every change would make all stages stale
    assert (tmp_path / "one").read_bytes() == (tmp_path / "two").read_bytes()


def test_networks_that_start_at_random_with_own_photos_are_mentioned(tmp_path: Path, capsys) -> None:
    check(tmp_path / "out", {})
    assert "learn little" not in capsys.readouterr().out
    check(tmp_path / "out", {"data.voc.path": str(tmp_path)})
    told = capsys.readouterr().out
    assert "detectors.ssd300.weights = 'none', finetune.weights = 'pretrained': networks without the weights" in told


@pytest.mark.parametrize("key", ["detectors.rpn.weights", "finetune.weights"])
def test_one_network_that_starts_from_weights_is_enough_with_own_photos(tmp_path: Path, capsys, key: str) -> None:
    (tmp_path / "weights.pth").touch()
    check(tmp_path / "out", {"data.voc.path": str(tmp_path), key: str(tmp_path / "weights.pth"), **MOBILENET})
    assert "learn little" not in capsys.readouterr().out


@pytest.mark.parametrize(
    ("key", "value", "words"),
    [
        ("finetune.backbone", "resnet18", "'resnet18' is not a torchvision model with"),
        ("finetune.backbone", "ssd300_vgg16", "'ssd300_vgg16' is not a torchvision model with"),
        ("features.proposals", "edge_boxes", "'edge_boxes': it must be one of selective_search, rpn"),
        ("features.proposals", "ssd300", "'ssd300': it must be one of selective_search, rpn"),
        ("detectors.rpn.model.backbone", "vgg17", "'vgg17': it must be one of mobilenet_v2, plain, vgg16"),
        ("detectors.rpn.weights", "imagenet", "'imagenet': torchvision has none of 'plain'"),
        ("detectors.ssd300.model.aspect_ratios", [[2.0]], "[[2.0]] has 1 entries, and must have 5"),
        ("classifiers.mobilenet_v3.model.name", "mobile", "'mobile': torchvision has no such classifier"),
        ("classifiers.resnet50.data", "voc", "'voc': it must be one of gesture, mnist"),
        ("pretrain_alexnet.data", "flowers", "'flowers': it must be one of gesture, mnist"),
        ("finetune.train.best_by", "accuracy", "'accuracy': it must be last or a figure of the validation"),
        ("detectors.rpn.train.best_by", "val_map", "'val_map': only a detector that distinguishes classes has a mAP"),
        ("pretrain_alexnet.train.best_by", "val_map", "'val_map': only a detector that distinguishes classes has a"),
        ("finetune.weights", "/no/such.pth", "'/no/such.pth': there is no such file"),
        ("detectors.faster_rcnn.loss.alternating", [1, 1, 1, 1], "[1, 1, 1, 1]: 4 epochs, and train.epochs is 5"),
        ("detectors.fast_rcnn.loss.stage_wise", [3, 3], "[3, 3]: 6 epochs, and train.epochs is 5"),
    ],
)
def test_a_name_of_nothing_is_refused_with_its_key(tmp_path: Path, key: str, value: object, words: str) -> None:
    with pytest.raises(InputError) as error:
        check(tmp_path / "checked", {key: value})
    assert str(error.value).startswith(f"params.yaml: {key} = {words}")
    assert not (tmp_path / "checked").exists()


def test_a_figure_that_a_trainer_inherits_is_named_where_it_stands(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"^params\.yaml: train\.best_by = 'accuracy': it must be last or"):
        check(tmp_path / "checked", {"train.best_by": "accuracy", "finetune.train.best_by": ABSENT})


def test_a_detector_with_weights_that_torchvision_has_is_accepted(tmp_path: Path) -> None:
    check(tmp_path / "checked", {"detectors.rpn.weights": "imagenet", "detectors.rpn.model.backbone": "mobilenet_v2"})


def test_all_problems_are_named_at_once(tmp_path: Path) -> None:
    changes = {
        "features.proposals": "edge_boxes",
        "finetune.weights": "/no/such.pth",
        "classifiers.resnet50.data": "voc",
    }
    with pytest.raises(InputError) as error:
        check(tmp_path / "checked", changes)
    lines = str(error.value).splitlines()
    assert len(lines) == len(changes)
    assert {line.split(" = ")[0] for line in lines} == {f"params.yaml: {key}" for key in changes}


def test_outputs_of_other_versions_are_named(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "metrics").mkdir()
    (tmp_path / "metrics/ssd300_training.json").write_text('{"versions": {"torch": "1.0"}}')
    check(tmp_path / "checked", {})
    assert "but ssd300_training.json and their models were made with 1.0" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("precision", "mode", "device", "warned"),
    [
        ("bf16-mixed", "pinned", "cpu", True),
        ("bf16-mixed", "native", "cpu", False),
        ("bf16-mixed", "pinned", "cuda", False),
        ("32-true", "pinned", "cpu", False),
    ],
)
def test_a_precision_that_is_slow_in_pinned_arithmetic_is_named(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    precision: str,
    mode: str,
    device: str,
    warned: bool,
) -> None:
    monkeypatch.setattr("stages.arithmetic.mode", lambda: mode)
    monkeypatch.setattr("stages.check.device", lambda: device)
    check(tmp_path / "checked", {"features.precision": precision})
    assert ("features.precision = 'bf16-mixed' is several times slower" in capsys.readouterr().out) is warned
