from pathlib import Path
from typing import Any

import pytest
from ruamel.yaml import YAML

from commands.profile import flags
from commands.write_deps import ROOT
from src.checks import best_by, names, networks
from src.schema import Params

YAML_READER = YAML(typ="safe")
PROFILES = sorted((ROOT / "profiles").glob("*.yaml"))


def overlaid(base: Any, overlay: Any) -> Any:
    if not isinstance(overlay, dict):
        return overlay
    return {**base, **{key: overlaid(base.get(key, {}), value) for key, value in overlay.items()}}


@pytest.mark.parametrize("path", PROFILES, ids=lambda path: path.stem)
def test_every_profile_makes_parameters_that_check_accepts(path: Path) -> None:
    params = overlaid(YAML_READER.load((ROOT / "params.yaml").read_text()), YAML_READER.load(path.read_text()))
    for section in params["data"].values():
        if section["source"] == "local":
            section["path"] = "/data"  # given on the command line
    for check in (names, best_by, networks):
        assert not list(check(Params.model_validate(params)))
    printed = " ".join(flags(path, ROOT / "params.yaml"))
    assert printed.startswith(f"-S profile={path.stem} -S ")
    assert "[ " not in printed
    assert ", " not in printed  # otherwise the shell would split it


def test_a_key_that_is_nowhere_is_refused_and_one_of_the_common_train_is_added(tmp_path: Path) -> None:
    profile = tmp_path / "mine.yaml"
    profile.write_text("finetune:\n  train:\n    momentum: 0.5\n")
    assert list(flags(profile, ROOT / "params.yaml"))[1:] == ["-S +finetune.train.momentum=0.5"]
    profile.write_text("finetune:\n  train:\n    speed: 0.5\n")
    with pytest.raises(SystemExit, match=r"finetune\.train\.speed = 0\.5: params\.yaml has no such key"):
        list(flags(profile, ROOT / "params.yaml"))
