"""A stage compares its inputs with dvc.lock before it reads them."""

import os
from pathlib import Path

import pytest

from src.errors import InputError
from src.files.locked import md5
from stages import inputs
from tests.repository import Repository

PIPELINE = """stages:
  fit:
    do:
      cmd: python
      deps:
        - models/${key}
        - metrics
        - src/fit.py

  # a comment
  other:
    cmd: python
"""
MODEL = Path("models/net.safetensors")


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Make a folder with a model and a metrics file of two stages, and dvc.lock that names them."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(inputs, "PAUSE", 0.01)
    for name in ("models", "metrics"):
        Path(name).mkdir()
    MODEL.write_bytes(bytes(100))
    Path("metrics/net.json").write_text("{}\n")
    Path("dvc.yaml").write_text(PIPELINE)
    outs = "".join(
        f"  {stage}:\n    cmd: x\n    outs:\n    - path: {path}\n      md5: {md5(Path(path))}\n"
        for stage, path in (("train", MODEL), ("evaluate", "metrics/net.json"))
    )
    Path("dvc.lock").write_text(f"schema: '2.0'\nstages:\n{outs}")
    return tmp_path


def flip(path: Path) -> None:
    """Change one bit of a file, and neither its size nor its time."""
    before, content = path.stat(), bytearray(path.read_bytes())
    content[len(content) // 2] ^= 4
    path.write_bytes(content)
    os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))


def test_a_flipped_bit_stops_a_stage_of_dvc_with_the_file_and_the_remedy(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DVC_STAGE", "fit@a")
    inputs.check([MODEL, "word", 3])
    flip(MODEL)
    with pytest.raises(InputError, match=r"models/net.safetensors is not what the stage train .*verify --restore"):
        inputs.check([MODEL, "word", 3])
    with pytest.raises(InputError, match="dvc commit -f train"):
        inputs.check([[Path("metrics/net.json"), MODEL]])


def test_a_folder_that_is_a_dependency_stands_for_the_files_in_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DVC_STAGE", "../dvc.yaml:fit@a")
    inputs.check([])
    flip(Path("metrics/net.json"))
    with pytest.raises(InputError, match=r"metrics/net.json is not what the stage evaluate wrote"):
        inputs.check([])


def test_the_own_outputs_of_a_stage_are_not_compared(monkeypatch: pytest.MonkeyPatch) -> None:
    flip(MODEL)
    monkeypatch.setenv("DVC_STAGE", "train")
    inputs.check([MODEL])


def test_by_hand_it_is_a_warning(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.delenv("DVC_STAGE", raising=False)
    inputs.check([MODEL])
    assert capsys.readouterr().err == ""
    flip(MODEL)
    inputs.check([MODEL])
    assert "models/net.safetensors is not what the stage train wrote" in capsys.readouterr().err


def test_without_a_lock_file_nothing_is_compared(monkeypatch: pytest.MonkeyPatch) -> None:
    Path("dvc.lock").unlink()
    for name in ("", "fit@a"):
        monkeypatch.setenv("DVC_STAGE", name)
        inputs.check([MODEL])


def test_a_lock_file_that_is_being_written_is_read_again(monkeypatch: pytest.MonkeyPatch) -> None:
    whole = Path("dvc.lock").read_text()
    Path("dvc.lock").write_text(whole[:40])
    flip(MODEL)
    monkeypatch.setenv("DVC_STAGE", "fit@a")
    monkeypatch.setattr(inputs.time, "sleep", lambda seconds: seconds and Path("dvc.lock").write_text(whole))
    with pytest.raises(InputError, match="is not what the stage train wrote"):
        inputs.check([MODEL])


def test_a_lock_file_that_is_no_yaml_is_refused() -> None:
    Path("dvc.lock").write_text("stages: [\n")
    with pytest.raises(InputError, match=r"dvc.lock is not valid YAML .*git checkout dvc.lock"):
        inputs.check([MODEL])


@pytest.mark.parametrize(
    ("path", "stage"),
    [
        ("models/rcnn.safetensors", "score_rcnn"),
        ("models/svm.npz", "score_rcnn"),
        ("data/features/rcnn.npy", "train_bbox"),
        ("data/scores/rcnn.npy", "detect_rcnn"),
        ("data/prepared/voc.zip", "evaluate_detections@rcnn"),
        ("data/raw/mnist", "prepare@mnist"),
        ("metrics/rcnn.json", "summary"),
        ("data/predictions/resnet50.csv", "summary"),
    ],
)
def test_dvc_runs_no_stage_on_a_damaged_input(copy: Repository, path: str, stage: str) -> None:
    whole = copy.path / path
    whole = next(file for file in whole.rglob("*") if file.is_file()) if whole.is_dir() else whole
    content = whole.read_bytes()
    whole.unlink()  # a hard link to the repository of other tests
    whole.write_bytes(content)
    copy("dvc", "status")  # so that DVC knows the file
    flip(whole)
    output = copy("dvc", "repro", "--single-item", "--force", stage, fails=True)
    assert f"{path} is not what the stage" in output
    assert "Traceback" not in output
