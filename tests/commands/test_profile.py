import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from ruamel.yaml import YAML

from commands import profile
from commands.profile import flags
from commands.write_deps import ROOT
from src.checks import best_by, names, networks
from src.schema import Params
from src.training.settings import Train

YAML_READER = YAML(typ="safe")
PARAMS = ROOT / "params.yaml"
PROFILES = sorted((ROOT / "profiles").glob("*.yaml"))
OWN = ("optimizer", "lr", "weight_decay", "batch_size")  # belong together: a profile that sets one sets all

each_profile = pytest.mark.parametrize("path", PROFILES, ids=lambda path: path.stem)


def overlaid(base: Any, overlay: Any) -> Any:
    if not isinstance(overlay, dict):
        return overlay
    return {**base, **{key: overlaid(base.get(key, {}), value) for key, value in overlay.items()}}


def content(path: Path) -> dict[str, Any]:
    return YAML_READER.load(path.read_text())


def with_profile(*paths: Path) -> Params:
    params = content(PARAMS)
    for path in paths:
        params = overlaid(params, content(path))
    for section in params["data"].values():
        if section["source"] == "local":
            section["path"] = "/data"  # given on the command line
    return Params.model_validate(params)


def trainers(params: Params) -> Iterator[tuple[str, Any]]:
    """Yield every section that has a `train` of its own, by its key."""
    yield from (("finetune", params.finetune), ("pretrain_alexnet", params.pretrain_alexnet))
    yield from ((f"detectors.{name}", section) for name, section in params.detectors)
    yield from ((f"classifiers.{name}", section) for name, section in params.classifiers)


def settings(params: Params) -> dict[str, Train]:
    return {key: section.train.over(params.train) for key, section in trainers(params)}


def sets(overlay: dict[str, Any], key: str) -> bool:
    """Tell whether an overlay has a section, such as `detectors.ssd300`."""
    first, *rest = key.split(".")
    return first in overlay and (not rest or rest[0] in overlay[first])


@each_profile
def test_every_profile_makes_parameters_that_check_accepts(path: Path) -> None:
    for check in (names, best_by, networks):
        assert not list(check(with_profile(path)))
    printed = " ".join(flags([path], PARAMS))
    assert printed.startswith(f"-S profile={path.stem} -S ")
    assert "[ " not in printed
    assert ", " not in printed  # otherwise the shell would split it


@each_profile
def test_a_profile_changes_the_training_of_no_method_that_it_does_not_name(path: Path) -> None:
    """SGD in the common section once gave the classifiers SGD at the rates of AdamW: digits .989 -> .955."""
    overlay, before, after = content(path), settings(with_profile()), settings(with_profile(path))
    assert "train" not in overlay
    for key in before:
        if not sets(overlay, key):
            assert after[key] == before[key], key


@pytest.mark.parametrize("path", [None, *PROFILES], ids=lambda path: path.stem if path else "params")
def test_every_trainer_states_its_own_optimizer_and_decay(path: Path | None) -> None:
    for key, section in trainers(with_profile(*([path] if path else []))):
        stated = section.train.model_fields_set
        assert stated >= {"optimizer", "weight_decay"}, key
        if section.train.optimizer == "sgd":
            assert "momentum" in stated, key


def test_the_common_rate_reaches_fine_tuning_alone() -> None:
    """README's example of one change, `-S train.lr=1e-4`, must change something."""
    stated = {key for key, section in trainers(with_profile()) if "lr" in section.train.model_fields_set}
    assert settings(with_profile()).keys() - stated == {"finetune"}


@each_profile
def test_a_profile_that_changes_the_optimizer_states_the_rate_and_the_decay_for_it(path: Path) -> None:
    overlay, before = content(path), settings(with_profile())
    for key, training in before.items():
        section: Any = overlay
        for part in (*key.split("."), "train"):
            section = section.get(part, {})
        if section.get("optimizer", training.optimizer) != training.optimizer:
            assert set(section) >= set(OWN), key


@each_profile
def test_a_profile_says_in_its_first_lines_what_it_is_for(path: Path) -> None:
    lines = path.read_text().splitlines()
    head = " ".join(line for line in lines[: next(i for i, line in enumerate(lines) if line[:1] != "#")])
    words = {
        "finetune": "R-CNN",
        "detectors.ssd300": "SSD",
        "detectors.rpn": "RPN",
        "detectors.fast_rcnn": "Fast",
        "detectors.faster_rcnn": "Faster R-CNN",
        "classifiers.mobilenet_v3": "MobileNetV",
        "classifiers.resnet50": "ResNet",
    }
    for key, word in words.items():
        assert word in head or not sets(content(path), key), key


def test_a_key_that_is_nowhere_is_refused_and_one_of_the_common_train_is_added(tmp_path: Path) -> None:
    path = tmp_path / "mine.yaml"
    path.write_text("finetune:\n  train:\n    momentum: 0.5\n")
    assert list(flags([path], PARAMS))[1:] == ["-S +finetune.train.momentum=0.5"]
    path.write_text("finetune:\n  train:\n    speed: 0.5\n")
    with pytest.raises(SystemExit, match=r"mine\.yaml: finetune\.train\.speed = 0\.5: params\.yaml has no such key"):
        list(flags([path], PARAMS))
    path.write_text("train:\n  optimizer: sgd\n")
    with pytest.raises(SystemExit, match=r"mine\.yaml: train\.optimizer = 'sgd': state it in the `train` of each"):
        list(flags([path], PARAMS))


def test_of_two_profiles_the_later_one_counts_and_no_key_comes_twice(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(ROOT)
    monkeypatch.setattr(sys, "argv", ["profile", "voc2007", "rcnn_vgg16"])
    profile.main()
    printed = dict(flag.split("=", 1) for flag in capsys.readouterr().out.replace("-S ", "").split())
    assert printed["profile"] == "voc2007-rcnn_vgg16"
    assert (printed["finetune.backbone"], printed["+finetune.train.batch_size"]) == ("vgg16", "24")
    assert (printed["finetune.train.epochs"], printed["detectors.ssd300.train.optimizer"]) == ("70", "sgd")
    assert (printed["warp.size"], printed["+finetune.train.momentum"]) == ("224", "0.9")
    both = with_profile(*(ROOT / f"profiles/{name}.yaml" for name in ("voc2007", "rcnn_vgg16")))
    assert not list(networks(both))


@pytest.mark.parametrize("names", [[], ["voc2007", "none_such"]])
def test_an_unknown_profile_is_refused_with_the_known_ones(names: list[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(ROOT)
    monkeypatch.setattr(sys, "argv", ["profile", *names])
    with pytest.raises(SystemExit, match=r"NAME is one of: hands, .*voc2007"):
        profile.main()
