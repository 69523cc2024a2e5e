import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
import torch

from src.files.labelled_images import LabelledImages
from src.files.weights import read_tensors, write_tensors
from stages.train_classifier import Params, run
from tests.stages.classifiers import params

Trained = Callable[..., dict[str, Path]]


@pytest.fixture
def trained(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, labelled_images: LabelledImages) -> Trained:
    """Run the stage on mobilenet_v3; return the paths of its outputs."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("DEVICE", "cpu")
    out = {name: tmp_path / name for name in ("out", "metrics", "curve")}

    def trained(weights: dict[str, torch.Tensor] | None = None, **changes: Any) -> dict[str, Path]:
        write_tensors(tmp_path / "start", weights or {}, {"source": "test"})
        files = {"images": labelled_images.path, "weights": tmp_path / "start", **out}
        run(params(Params, **changes), classifier="mobilenet_v3", **files)
        return out

    return trained


def test_weights_figures_and_curve_are_written(trained: Trained, tmp_path: Path) -> None:
    out = trained()
    tensors, facts = read_tensors(out["out"])
    assert tensors["classifier.3.weight"].shape[0] == 10
    assert facts["classes"] == [str(name) for name in range(10)]
    metrics = json.loads(out["metrics"].read_text())
    assert (metrics["epoch"], metrics["images"], metrics["val_images"]) == (1, 40, 20)
    assert {"val_accuracy", "val_macro_f1", "val_loss"} <= set(pd.read_csv(out["curve"]).columns)
    assert not list((tmp_path / ".checkpoints").glob("*"))


def test_without_epochs_the_network_stays_as_it_starts_and_the_curve_has_its_columns(trained: Trained) -> None:
    out = trained(train={"epochs": 0})
    assert json.loads(out["metrics"].read_text())["epoch"] == 0
    assert list(pd.read_csv(out["curve"]).columns) == ["epoch", "loss", "val_accuracy"]


def test_it_goes_on_from_weights_and_says_which_it_skipped(
    trained: Trained, capsys: pytest.CaptureFixture[str]
) -> None:
    before = read_tensors(trained()["out"])[0]
    other = {**before, "classifier.3.weight": torch.zeros(1000, 1024), "unknown": torch.zeros(1)}
    out = trained(other, train={"epochs": 0})
    assert "start at random: classifier.3; skipped: " in (said := capsys.readouterr().out)
    assert "unknown" in said
    after = read_tensors(out["out"])[0]
    assert [name for name, value in after.items() if not torch.equal(value, before[name])] == ["classifier.3.weight"]


@pytest.mark.parametrize("precision", ["bf16-mixed"])
def test_mixed_precision_keeps_whole_weights(trained: Trained, precision: str) -> None:
    found = read_tensors(trained(train={"precision": precision})["out"])[0]
    assert all(value.dtype in (torch.float32, torch.int64) for value in found.values())
