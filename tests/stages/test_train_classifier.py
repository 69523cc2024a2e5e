import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
import torch

from src.files.labelled_images import LabelledImages
from src.files.weights import read_tensors, write_tensors
from stages.evaluate_classifier import Params as EvaluateParams
from stages.evaluate_classifier import run as evaluate
from stages.train_classifier import Params, run
from tests.labelled import digits
from tests.stages.classifiers import params

Trained = Callable[..., dict[str, Path]]


@pytest.fixture
def data(tmp_path: Path) -> LabelledImages:
    return digits(tmp_path / "digits.zip")


@pytest.fixture
def trained(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, data: LabelledImages) -> Trained:
    """Run the stage on mobilenet_v3; returns where its outputs are."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("DEVICE", "cpu")
    out = {name: tmp_path / name for name in ("out", "metrics", "curve")}

    def trained(weights: dict[str, torch.Tensor] | None = None, **changes: Any) -> dict[str, Path]:
        write_tensors(tmp_path / "start", weights or {}, {"source": "test"})
        run(params(Params, **changes), classifier="mobilenet_v3", images=data.path, weights=tmp_path / "start", **out)
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


@pytest.fixture
def evaluated(trained: Trained, data: LabelledImages, tmp_path: Path) -> dict[str, Any]:
    model = trained()["out"]
    out = {name: tmp_path / name for name in ("confusion", "predictions")}
    evaluate(
        params(EvaluateParams),
        classifier="mobilenet_v3",
        images=data.path,
        model=model,
        out=tmp_path / "test.json",
        **out,
    )
    tables = {name: pd.read_csv(path, dtype={"label": str, "predicted": str}) for name, path in out.items()}
    return {"metrics": json.loads((tmp_path / "test.json").read_text()), **tables}


def test_the_test_split_is_measured_beside_always_saying_the_most_frequent(
    evaluated: dict[str, Any], data: LabelledImages
) -> None:
    metrics = evaluated["metrics"]
    assert list(metrics)[:4] == ["accuracy", "macro_f1", "loss", "calibration_error"]
    assert metrics["standard_error"]["accuracy"] == pytest.approx(
        (metrics["accuracy"] * (1 - metrics["accuracy"]) / 20) ** 0.5, rel=0.1
    )
    labels = [data.label(image_id) for image_id in data.ids("test")]
    most = max(range(10), key=labels.count)
    assert metrics["accuracy_most_frequent"] == pytest.approx(labels.count(most) / 20)
    assert metrics["images"] == sum(entry["images"] for entry in metrics["by_class"].values()) == 20


def test_predictions_are_by_path_so_that_files_of_one_name_in_two_classes_are_two(
    evaluated: dict[str, Any], data: LabelledImages
) -> None:
    """The tutorial's table has base names, and one row overwrites the other."""
    table = evaluated["predictions"]
    assert list(table.columns) == ["path", "label", "predicted", "score"]
    assert table["path"].tolist() == data.ids("test")
    assert len({Path(path).name for path in table["path"]}) < 20
    assert (table["label"] == table["path"].str[0]).all()
    assert (table["label"] == table["predicted"]).mean() == pytest.approx(evaluated["metrics"]["accuracy"])
    assert table["score"].between(0.1, 1).all()


def test_confusions_have_a_row_for_each_image(evaluated: dict[str, Any]) -> None:
    assert list(evaluated["confusion"].columns) == ["actual", "predicted"]
    assert len(evaluated["confusion"]) == 20
