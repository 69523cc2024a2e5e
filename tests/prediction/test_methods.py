"""R-CNN, the dense detectors and the classifiers with extreme and with wrong inputs."""

import shutil
from pathlib import Path

import numpy as np
import pytest
import torch

from commands.trained import Params, load, proposer
from src import plugins
from src.errors import InputError
from src.params import read_params
from src.prediction.classifier import Classifier
from src.prediction.dense import Dense
from src.prediction.rcnn import Rcnn
from src.rcnn import maps
from src.rcnn.detect import DetectRcnn
from tests.stages.test_extract_features import precisions
from tests.trained import CLASSES, scene

CPU = torch.device("cpu")
DETECTORS = ["rcnn", *plugins.names("detectors")]


@pytest.fixture
def params(checkout: Path) -> Params:
    return read_params("params.yaml", Params)


@pytest.mark.parametrize("name", DETECTORS)
@pytest.mark.parametrize("size", [(1, 1), (3, 200), (50, 70)])
def test_boxes_lie_in_an_image_of_any_size(params: Params, name: str, size: tuple[int, int]) -> None:
    method = load(params, name, CPU)
    assert not isinstance(method, Classifier)
    found = method.detect(scene(*size) if min(size) > 40 else np.zeros((*size, 3), np.uint8), "x")
    assert (found["boxes"] >= 0).all()
    assert (found["boxes"] <= [size[1], size[0]] * 2).all()
    assert found["labels"].max(initial=1) <= len(method.classes)


def test_without_proposals_rcnn_finds_nothing(params: Params) -> None:
    method = load(params, "rcnn", CPU)
    assert isinstance(method, Rcnn)
    scored = method.score(scene(60, 60), np.zeros((0, 4), np.float32))
    assert scored.deltas.shape == (0, len(CLASSES), 4)
    assert len(method.finish(scored)["boxes"]) == 0


@pytest.mark.parametrize("precision", ["32-true", "bf16-mixed"])
def test_rcnn_describes_regions_in_the_precision_of_the_features(
    params: Params, monkeypatch: pytest.MonkeyPatch, precision: str
) -> None:
    """Else a photo would get other scores than the stages give it."""
    seen = precisions(monkeypatch)
    section = params.features.model_copy(update={"precision": precision})
    method = load(params.model_copy(update={"features": section}), "rcnn", CPU)
    assert isinstance(method, Rcnn)
    method.score(scene(60, 60), np.array([[5, 5, 40, 40]], np.float32))
    assert seen == {precision}


def test_rcnn_takes_regions_from_a_map_where_the_stages_do(params: Params) -> None:
    section = params.features.model_copy(update={"source": "map", "map_side": 128})
    method = load(params.model_copy(update={"features": section}), "rcnn", CPU)
    assert isinstance(method, Rcnn)
    image, boxes = scene(60, 60), np.array([[5, 5, 40, 40], [0, 0, 60, 60]], np.float32)
    with torch.inference_mode():
        item = maps.scene(image, boxes, np.zeros(2, bool), 128)
        expected = maps.describe(method.net, item, params.warp, params.features.layer).half().numpy()
    np.testing.assert_array_equal(method.describe(image, boxes), expected)
    assert not np.array_equal(load(params, "rcnn", CPU).describe(image, boxes), expected)  # type: ignore[union-attr]
    assert len(method.detect(image, "x")["boxes"]) >= 0


def test_other_thresholds_take_no_other_pass(params: Params) -> None:
    rcnn, ssd = load(params, "rcnn", CPU), load(params, "ssd300", CPU)
    assert isinstance(rcnn, Rcnn)
    assert isinstance(ssd, Dense)
    image = scene(90, 120)
    scored, outputs = rcnn.score(image, rcnn.propose(image, "x")), ssd.outputs(image)
    strict = DetectRcnn(score_thresh=0.0, nms_thresh=0.1, max_per_image=100)
    assert len(rcnn.finish(scored, strict)["boxes"]) < len(rcnn.finish(scored)["boxes"])
    every, few = ssd.finish(outputs, (90, 120)), ssd.finish(outputs, (90, 120), nms_thresh=0.05)
    assert 0 < len(few["boxes"]) < len(every["boxes"])
    assert len(ssd.finish(outputs, (90, 120), score_thresh=1.0)["boxes"]) == 0


def test_rcnn_may_be_fed_by_the_rpn(params: Params) -> None:
    fed = params.model_copy(update={"features": params.features.model_copy(update={"proposals": "rpn"})})
    method, rpn = load(fed, "rcnn", CPU), load(params, "rpn", CPU)
    assert isinstance(method, Rcnn)
    assert isinstance(rpn, Dense)
    assert rpn.classes == ["object"]
    np.testing.assert_array_equal(method.propose(scene(90, 120), "x"), rpn.detect(scene(90, 120), "x")["boxes"])


def test_fast_rcnn_classifies_the_proposals_that_its_section_names(params: Params) -> None:
    image = scene(90, 120)

    def of(name: str) -> Params:
        section = {**params.detectors["fast_rcnn"], "proposals": name}
        return params.model_copy(update={"detectors": {**params.detectors, "fast_rcnn": section}})

    for name in ("selective_search", "rpn"):
        method = load(of(name), "fast_rcnn", CPU)
        assert isinstance(method, Dense)
        wanted = proposer(params, CPU, name, "")(image, "x")
        regions = method.outputs(image, "x")["boxes"].numpy()
        assert len(regions) == len(wanted) > 0
        np.testing.assert_allclose(regions * np.array([120, 90] * 2) / 128, wanted, atol=1e-3)
    with pytest.raises(InputError, match=r"^params.yaml: detectors.fast_rcnn.proposals = 'yolo': it must be"):
        load(of("yolo"), "fast_rcnn", CPU)


@pytest.mark.parametrize("name", plugins.names("classifiers"))
def test_probabilities_are_of_all_classes_and_sum_to_1(params: Params, name: str) -> None:
    method = load(params, name, CPU)
    assert isinstance(method, Classifier)
    found = method.probabilities(scene(50, 70))
    assert found.shape == (10,)
    assert found.sum() == pytest.approx(1)


@pytest.mark.parametrize(
    ("name", "file", "stage"),
    [
        ("rcnn", "rcnn.safetensors", "finetune"),
        ("rcnn", "svm.npz", "train_svm"),
        ("rcnn", "bbox.npz", "train_bbox"),
        ("ssd300", "ssd300.safetensors", "train_detector@ssd300"),
        ("fast_rcnn", "fast_rcnn.safetensors", "train_on_proposals@fast_rcnn"),
        ("resnet50", "resnet50.safetensors", "train_classifier@resnet50"),
    ],
)
def test_a_missing_model_is_one_sentence_that_names_its_stage(
    params: Params, checkout: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str, file: str, stage: str
) -> None:
    shutil.copytree(checkout / "models", tmp_path / "models")
    (tmp_path / "models" / file).unlink()
    monkeypatch.chdir(tmp_path)
    with pytest.raises(InputError, match=f"^models/{file} is missing: run `dvc repro {stage}`, which makes it$"):
        load(params, name, CPU)


def test_a_model_of_another_method_and_features_of_another_layer_are_errors(
    params: Params, checkout: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    shutil.copytree(checkout / "models", tmp_path / "models")
    shutil.copy(tmp_path / "models/rpn.safetensors", tmp_path / "models/ssd300.safetensors")
    monkeypatch.chdir(tmp_path)
    with pytest.raises(InputError, match="holds rpn, and not ssd300"):
        load(params, "ssd300", CPU)
    other = params.model_copy(update={"features": params.features.model_copy(update={"layer": "pool5"})})
    with pytest.raises(InputError, match="was trained on features of 8 numbers, but features.layer = pool5"):
        load(other, "rcnn", CPU)
    with pytest.raises(InputError, match="no trained method 'yolo'; params.yaml has rcnn, ssd300"):
        load(params, "yolo", CPU)
