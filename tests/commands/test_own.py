import shlex
from pathlib import Path

import pytest

from commands import own
from commands.write_deps import ROOT
from src.errors import InputError
from tests.test_documented_commands import understand


@pytest.fixture(autouse=True)
def here(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(ROOT)


def printed(capsys: pytest.CaptureFixture[str], path: Path, **options: object) -> str:
    assert own.run(path, dry_run=True, **options) == 0  # type: ignore[arg-type]
    return capsys.readouterr().out.strip()


def test_one_method_is_trained_and_only_its_weights_are_asked_for(tmp_path: Path, capsys) -> None:
    words = shlex.split(printed(capsys, tmp_path))
    assert words[:3] == ["dvc", "exp", "run"]
    assert words[-1] == "evaluate_detections@ssd300"
    keys = [word.split("=")[0] for word in words if "=" in word]
    assert [key for key in keys if key.endswith("weights")] == ["detectors.ssd300.weights"]
    assert not [key for key in keys if key.lstrip("+").startswith(("finetune", "detectors.rpn", "warp"))]
    keys = [word.split("=")[0] for word in shlex.split(printed(capsys, tmp_path, method="rcnn")) if "=" in word]
    assert [key for key in keys if key.endswith("weights")] == ["finetune.weights"]
    assert not [key for key in keys if "detectors." in key and not key.startswith("splits.")]


@pytest.mark.parametrize("method", sorted(own.METHODS))
def test_the_line_is_one_that_dvc_and_the_parameters_accept(tmp_path: Path, capsys, method: str) -> None:
    understand(printed(capsys, tmp_path, method=method))


def test_what_the_user_sets_comes_in_place_of_the_profile_and_paths_are_quoted_for_dvc(tmp_path: Path, capsys) -> None:
    path, weights = tmp_path / "mine (1).zip", tmp_path / "a,b.pth"
    path.touch()
    weights.touch()
    line = printed(capsys, path, weights=weights, set=["detectors.ssd300.train.epochs=2"])
    words = [word for word in shlex.split(line) if "=" in word]
    assert f"data.voc.path='{path}'" in words
    assert f"detectors.ssd300.weights='{weights}'" in words
    assert [word for word in words if "train.epochs" in word] == ["detectors.ssd300.train.epochs=2"]


def test_a_key_that_the_profile_adds_may_be_set(tmp_path: Path, capsys) -> None:
    line = printed(capsys, tmp_path, set=["detectors.ssd300.train.batches_per_epoch=4"])
    assert [word for word in shlex.split(line) if "batches_per_epoch" in word] == [
        "+detectors.ssd300.train.batches_per_epoch=4"
    ]
    understand(line)


def test_what_is_no_pair_of_a_key_and_a_value_is_told(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="--set epochs: write key=value"):
        own.run(tmp_path, set=["epochs"], dry_run=True)


def test_a_file_that_is_not_there_is_named_before_anything_runs(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"path .*none\.zip: there is no such file"):
        own.run(tmp_path / "none.zip")
    with pytest.raises(InputError, match=r"--weights .*none\.pth: there is no such file"):
        own.run(tmp_path, weights=tmp_path / "none.pth")
