import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from src.boxes.matching import best_match
from src.boxes.target import Target
from src.errors import InputError
from src.files.boxed_images import BoxedImages
from src.files.prepared import write_prepared
from src.files.records import Record, read_records, write_records
from src.files.storage import read_npz
from src.rcnn.features import Features
from src.rcnn.mining import TrainSvm, solver_of
from src.splits import Splits
from stages.train_svm import Params, run
from tests.stages.described import RULES, write_described

CIRCLES, SQUARES = [0, 14], [1]  # rows of the ground-truth boxes that are not difficult; six proposals follow per image
REGIONS = 21
Trained = Callable[..., dict[str, Any]]


def overlaps(record: Record, target: Target) -> np.ndarray:
    """The features of a region: its overlap with the nearest circle and with the nearest square."""
    return np.stack(
        [best_match(record["boxes"], target["boxes"][target["labels"] == label])[0] for label in (1, 2)], axis=1
    )


@pytest.fixture
def params(svm_rules: TrainSvm) -> Params:
    return Params(
        seed=0,
        splits=Splits(finetune="x", detectors="x", validation=None, train="train", test="x"),
        features=Features(**RULES),
        train_svm=svm_rules,
    )


@pytest.fixture
def files(tmp_path: Path, images: BoxedImages, proposals: dict[str, Record]) -> dict[str, Path]:
    return write_described(tmp_path, images, proposals, overlaps)


@pytest.fixture
def trained(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, files: dict[str, Path]) -> Trained:
    """Run the stage with changes of the section; return the content of its outputs."""
    monkeypatch.setenv("JOBS", "1")
    outs = {name: tmp_path / "made" / name for name in ("out", "metrics", "rounds")}

    def trained(params: Params, **changes: Any) -> dict[str, Any]:
        rules = params.train_svm.model_copy(update=changes)
        run(params.model_copy(update={"train_svm": rules}), **files, **outs)
        metrics, rounds = json.loads(outs["metrics"].read_text()), pd.read_csv(outs["rounds"])
        return {"out": read_npz(outs["out"]), "metrics": metrics, "rounds": rounds}

    return trained


@pytest.mark.parametrize("solver", ["dual_coordinate_descent", "sgd"])
def test_a_plane_has_its_class_on_the_positive_side_and_what_is_far_from_it_on_the_other(
    trained: Trained, params: Params, files: dict[str, Path], solver: str
) -> None:
    sgd = params.train_svm.sgd.model_copy(update={"lr": 0.01})
    svm = trained(params, solver=solver, sgd=sgd, rounds=1)["out"]
    assert svm["weights"].shape == (2, 2)
    assert svm["biases"].shape == (2,)
    np.testing.assert_allclose(svm["scale"], [10, 10])  # 0.5 of the file, norm 20
    x = np.load(files["features"])[:REGIONS].astype(np.float32)
    scores = (x * svm["scale"]) @ svm["weights"].T + svm["biases"]
    for column, positives in enumerate((CIRCLES, SQUARES)):
        far = x[:, column] == 0
        assert far.sum() > 5
        assert (scores[positives, column] > 0).all()
        assert (scores[far, column] < 0).all()


def test_the_tables_hold_a_row_for_each_round_and_class(trained: Trained, params: Params) -> None:
    found = trained(params, first_negatives=1)
    rounds, metrics = found["rounds"], found["metrics"]
    number = metrics["rounds"]
    assert number > 1  # a single negative leaves others on the wrong side
    assert rounds["round"].tolist() == sorted([*range(1, number + 1)] * 2)
    assert rounds["class"].tolist() == ["circle", "square"] * number
    assert rounds["positives"].tolist() == [2, 1] * number
    first = rounds[rounds["round"] == 1]
    assert first["negatives"].tolist() == (first["newly_hard"] + 1).tolist()  # the first fit drops none
    assert first["fits"].tolist() == [2, 2]
    assert metrics["newly_hard"]["round_1"] == first["newly_hard"].sum() > 0
    assert metrics["newly_hard"][f"round_{number}"] == 0
    last = rounds[rounds["round"] == number].set_index("class")
    assert metrics["negatives"] == last["negatives"].to_dict()
    assert metrics["pool_accuracy"] == last["pool_accuracy"].to_dict() == {"circle": 1.0, "square": 1.0}


def test_the_first_negatives_follow_the_seed(trained: Trained, params: Params, monkeypatch: pytest.MonkeyPatch) -> None:
    """The solver gets the same seed each time, and no negative is hard, so only the first negatives can differ."""
    monkeypatch.setattr("stages.train_svm.solver_of", lambda rules, seed: solver_of(rules, 0))
    options = {"first_negatives": 1, "hard_margin": 100.0}
    planes = [trained(params.model_copy(update={"seed": seed}), **options)["out"]["weights"] for seed in range(4)]
    assert any(not np.array_equal(planes[0], other) for other in planes[1:])
    np.testing.assert_array_equal(trained(params, **options)["out"]["weights"], planes[0])


def test_the_solver_follows_the_seed(trained: Trained, params: Params) -> None:
    """All negatives are held from the start, so only the random batches of SGD can differ."""
    options = {"solver": "sgd", "first_negatives": 1000}
    first, other = (trained(params.model_copy(update={"seed": seed}), **options)["out"]["weights"] for seed in (0, 1))
    assert not np.array_equal(first, other)


def test_regions_of_other_images_are_refused(trained: Trained, params: Params, files: dict[str, Path]) -> None:
    write_records(files["regions"], dict(reversed(read_records(files["regions"]).items())))
    with pytest.raises(InputError, match=r"regions\.npz is not of the training images"):
        trained(params)


def test_a_class_without_objects_is_named_and_nothing_is_written(
    trained: Trained, params: Params, files: dict[str, Path], tmp_path: Path
) -> None:
    data = BoxedImages(files["images"])
    entries = {
        image_id: {"file": "", "height": 60, "width": 80}
        | {name: value.tolist() for name, value in data.target(image_id).items() if isinstance(value, np.ndarray)}
        for image_id in data.ids("train")
    }
    write_prepared(tmp_path / "voc.zip", ["circle", "square", "star"], data.splits, entries, [])
    files["images"] = tmp_path / "voc.zip"
    with pytest.raises(InputError, match="class star has 0 regions of objects"):
        trained(params)
    assert not (tmp_path / "made").exists()
