import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from torch import Tensor

from src.errors import InputError
from src.files.labelled_images import LabelledImages
from src.files.weights import read_tensors, write_tensors
from stages.evaluate_classifier import Params, run
from tests.stages.classifiers import params

HEAD = "classifier.3"  # the last layer, a row per class
LOUD = 1e8  # an untrained network's logits are about 1e-8 and would tell nothing apart
Evaluate = Callable[..., dict[str, Any]]


@pytest.fixture
def tensors(checkout: Path) -> dict[str, Tensor]:
    """An untrained mobilenet_v3 whose answers differ from image to image."""
    found = read_tensors(checkout / "models/mobilenet_v3.safetensors")[0]
    return {**found, f"{HEAD}.weight": found[f"{HEAD}.weight"] * LOUD}


@pytest.fixture
def evaluate(tmp_path: Path, labelled_images: LabelledImages) -> Evaluate:
    """Run the stage on a network; return its metrics and tables by the names of its options."""

    def evaluate(network: dict[str, Tensor], **changes: dict[str, Any]) -> dict[str, Any]:
        write_tensors(tmp_path / "model", network)
        tables = {name: tmp_path / name for name in ("confusion", "predictions")}
        files = {"images": labelled_images.path, "model": tmp_path / "model", "out": tmp_path / "out", **tables}
        run(params(Params, **changes), classifier="mobilenet_v3", **files)
        text = {"label": str, "predicted": str, "actual": str}
        return {
            "out": json.loads((tmp_path / "out").read_text()),
            **{name: pd.read_csv(path, dtype=text) for name, path in tables.items()},
        }

    return evaluate


def test_the_test_split_is_measured_beside_always_saying_the_most_frequent(
    evaluate: Evaluate, tensors: dict[str, Tensor], labelled_images: LabelledImages
) -> None:
    found = evaluate(tensors)
    metrics, table = found["out"], found["predictions"]
    assert list(metrics)[:4] == ["accuracy", "macro_f1", "loss", "calibration_error"]
    assert table["predicted"].nunique() > 1
    assert 0 < metrics["accuracy"] == pytest.approx((table["label"] == table["predicted"]).mean())
    assert metrics["standard_error"]["accuracy"] == pytest.approx(
        (metrics["accuracy"] * (1 - metrics["accuracy"]) / 20) ** 0.5, rel=0.1
    )
    labels = [labelled_images.label(image_id) for image_id in labelled_images.ids("test")]
    most = max(range(10), key=labels.count)
    assert metrics["accuracy_most_frequent"] == pytest.approx(labels.count(most) / 20)
    assert metrics["images"] == sum(entry["images"] for entry in metrics["by_class"].values()) == 20


def test_a_network_that_always_answers_three_is_right_on_the_threes(
    evaluate: Evaluate, tensors: dict[str, Tensor], labelled_images: LabelledImages
) -> None:
    bias = tensors[f"{HEAD}.bias"] * 0
    bias[3] = 20
    found = evaluate({**tensors, f"{HEAD}.weight": tensors[f"{HEAD}.weight"] * 0, f"{HEAD}.bias": bias})
    threes = sum(image_id.startswith("3/") for image_id in labelled_images.ids("test"))
    assert found["out"]["accuracy"] == pytest.approx(threes / 20)
    assert {name: entry["recall"] for name, entry in found["out"]["by_class"].items()} == {
        str(digit): float(digit == 3) for digit in range(10)
    }
    assert set(found["predictions"]["predicted"]) == {"3"}
    assert found["predictions"]["score"].min() > 0.999


def test_predictions_are_by_path_so_that_files_of_one_name_in_two_classes_are_two(
    evaluate: Evaluate, tensors: dict[str, Tensor], labelled_images: LabelledImages
) -> None:
    """The tutorial's table has base names, and one row overwrites the other."""
    table = evaluate(tensors)["predictions"]
    assert list(table.columns) == ["path", "label", "predicted", "score"]
    assert table["path"].tolist() == labelled_images.ids("test")
    assert len({Path(path).name for path in table["path"]}) < 20
    assert (table["label"] == table["path"].str[0]).all()
    assert table["score"].between(0.1, 1).all()


def test_confusions_have_a_row_for_each_image(evaluate: Evaluate, tensors: dict[str, Tensor]) -> None:
    found = evaluate(tensors)
    assert list(found["confusion"].columns) == ["actual", "predicted"]
    for column, name in (("actual", "label"), ("predicted", "predicted")):
        assert found["confusion"][column].tolist() == found["predictions"][name].tolist()


def test_with_flip_the_mirror_image_counts_too(evaluate: Evaluate, tensors: dict[str, Tensor]) -> None:
    """tests/classification/test_training.py checks that the scores are their mean."""
    alone, both = (evaluate(tensors, predict={"flip": flip})["predictions"] for flip in (False, True))
    assert (alone["score"] != both["score"]).all()


def test_a_classifier_without_a_file_is_refused_with_those_that_exist(
    labelled_images: LabelledImages, tmp_path: Path
) -> None:
    outs = dict.fromkeys(("model", "out", "confusion", "predictions"), tmp_path / "none")
    with pytest.raises(InputError, match=r"src/classifiers/vit\.py.*mobilenet_v3, resnet50"):
        run(params(Params), classifier="vit", images=labelled_images.path, **outs)
