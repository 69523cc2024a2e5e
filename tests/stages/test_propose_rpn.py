import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from src import plugins
from src.detection.running import start
from src.errors import InputError
from src.files.boxed_images import BoxedImages
from src.files.records import read_records
from src.files.weights import write_tensors
from src.params import read_params
from stages import detect
from stages.propose_rpn import Params, run
from tests.files.test_room import leave

LOSSES = ("loss", "objectness_loss", "box_loss")
FIGURES = (*LOSSES, "precision", "recall", "accuracy", "accuracy_always_background", "shapes_without_label")
Proposed = Callable[..., dict[str, Any]]


@pytest.fixture
def params(checkout: Path) -> Params:
    return read_params("params.yaml", Params)


@pytest.fixture
def files(checkout: Path, no_weights: Path) -> dict[str, Path]:
    voc, model = checkout / "data/prepared/voc.zip", checkout / "models/rpn.safetensors"
    return {"images": voc, "weights": no_weights, "model": model}


@pytest.fixture
def proposed(files: dict[str, Path], tmp_path: Path) -> Proposed:
    """Run the stage; return the proposals of both files, and the metrics."""

    def proposed(params: Params, **changes: Path) -> dict[str, Any]:
        outs = {name: tmp_path / name for name in ("out", "untrained", "metrics")}
        run(params, **{**files, **outs, **changes})
        metrics = json.loads(outs["metrics"].read_text())
        return {**{name: read_records(outs[name]) for name in ("out", "untrained")}, "metrics": metrics}

    return proposed


def splits(params: Params, **changes: str) -> Params:
    return params.model_copy(update={"splits": params.splits.model_copy(update=changes)})


def test_proposals_are_inside_the_images_that_r_cnn_looks_at(
    proposed: Proposed, params: Params, files: dict[str, Path]
) -> None:
    data, found = BoxedImages(files["images"]), proposed(params)
    for name in ("out", "untrained"):
        assert list(found[name]) == data.ids("train", "test")  # not of splits.detectors, which these data lack
        for image_id, record in found[name].items():
            height, width = data.size(image_id)
            assert set(record) == {"boxes"}
            assert len(record["boxes"]) > 0
            assert (record["boxes"] >= 0).all()
            assert (record["boxes"] <= [width, height, width, height]).all()


@pytest.mark.parametrize("role", [None, "finetune", "validation", "train", "test"])
def test_the_images_are_those_of_all_splits_that_r_cnn_looks_at(
    proposed: Proposed, params: Params, files: dict[str, Path], role: str | None
) -> None:
    """All parts see the split `train`, of one image, but for one part that sees the split `test`, of two."""
    chosen = {"finetune": "train", "validation": "train", "train": "train", "test": "train"}
    found = proposed(splits(params, **(chosen | ({role: "test"} if role else {}))))
    for name in ("out", "untrained"):
        assert list(found[name]) == BoxedImages(files["images"]).ids("test" if role else "train")


def test_the_best_proposals_come_first(
    proposed: Proposed, params: Params, files: dict[str, Path], tmp_path: Path
) -> None:
    """The stage `detect` writes the same boxes with their scores."""
    found = proposed(params)
    detect.run(detect.Params(**dict(params)), detector="rpn", **files, out=tmp_path / "scored")
    for name, scored in (("out", "detections"), ("untrained", "untrained")):
        for image_id, record in read_records(tmp_path / f"scored/{scored}.npz").items():
            assert (np.diff(record["scores"]) <= 0).all()
            np.testing.assert_array_equal(found[name][image_id]["boxes"], record["boxes"])


def test_a_network_as_it_starts_proposes_and_scores_like_the_baseline_and_another_does_not(
    proposed: Proposed, params: Params, tmp_path: Path
) -> None:
    module, section = plugins.section("detectors", params.detectors, "rpn")
    net, _ = start(module, section, 3, {}, params.seed)
    write_tensors(tmp_path / "start", net.state_dict())
    for model, equal in (({"model": tmp_path / "start"}, True), ({}, False)):
        found = proposed(params, **model)
        before, after = found["metrics"].pop("untrained"), found["metrics"]
        assert list(after) == list(before) == list(FIGURES)
        assert (after == before) == equal
        boxes, untrained = (found[name]["000001"]["boxes"] for name in ("out", "untrained"))
        assert np.array_equal(boxes, untrained) == equal


def test_figures_are_of_the_test_images_and_the_same_again(proposed: Proposed, params: Params) -> None:
    first = proposed(params)["metrics"]
    torch.rand(5)
    assert proposed(params)["metrics"] == first
    of_one = proposed(splits(params, test="train"))["metrics"]
    assert of_one["loss"] != first["loss"]
    assert proposed(splits(params, test="train", train="test"))["metrics"] == of_one


def test_a_split_that_the_data_lack_is_refused_before_anything_is_written(
    proposed: Proposed, params: Params, tmp_path: Path
) -> None:
    with pytest.raises(InputError, match=r"voc\.zip has no split 'held out'"):
        proposed(splits(params, train="held out"))
    assert not (tmp_path / "untrained").exists()


def test_proposals_that_do_not_fit_are_refused_before_a_detection(
    proposed: Proposed, params: Params, files: dict[str, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Two files; a box takes 16 bytes."""
    count = len(BoxedImages(files["images"]).ids("train", "test"))
    most = params.detectors["rpn"]["decode"]["max_per_image"]
    monkeypatch.setattr("src.detection.running.detect", lambda *_, **__: pytest.fail("images were detected"))
    leave(monkeypatch, 2 * count * most * 16 - 1)
    with pytest.raises(
        InputError, match=rf"{count} images with at most {most} boxes .* lower detectors\.rpn\.decode\.max_per"
    ):
        proposed(params)
