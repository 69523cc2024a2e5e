import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from src.boxes.geometry import decode, encode
from src.boxes.matching import best_match
from src.boxes.overlap import iou
from src.boxes.target import Target
from src.errors import InputError
from src.files.boxed_images import BoxedImages
from src.files.records import Record, read_records, write_records
from src.files.storage import read_npz
from src.rcnn.bbox import TrainBbox
from src.rcnn.features import Features
from src.rcnn.score import corrections
from src.splits import Splits
from stages.train_bbox import Params, run
from tests.stages.described import RULES, write_described

PER_OBJECT = 20
PARAMS = Params(
    splits=Splits(finetune="x", detectors="x", validation=None, train="train", test="x"),
    features=Features(**RULES),
    train_bbox=TrainBbox(iou_thresh=0.6, ridge_lambda=[1e-3]),
)
Trained = Callable[..., dict[str, Any]]


def moved_a_little(images: BoxedImages, labels: tuple[int, ...]) -> dict[str, Record]:
    """Proposals beside the objects of these classes, with an IoU above 0.6."""
    rng = np.random.default_rng(0)
    found: dict[str, Record] = {}
    for image_id in images.ids("train"):
        target = images.target(image_id)
        boxes = target["boxes"][np.isin(target["labels"], labels)].repeat(PER_OBJECT, axis=0)
        found[image_id] = {"boxes": (boxes + rng.uniform(-2, 2, boxes.shape)).astype(np.float32)}
    return found


def mixed_deltas(record: Record, target: Target) -> np.ndarray:
    """Features from which a linear map can tell where the nearest object lies, and some that tell nothing."""
    boxes = record["boxes"]
    if not len(target["boxes"]):
        return np.zeros((len(boxes), 6))
    nearest = target["boxes"][best_match(boxes, target["boxes"])[1]]
    deltas = encode(torch.from_numpy(boxes), torch.from_numpy(nearest)).numpy()
    rng = np.random.default_rng(1)
    mix = rng.normal(size=(4, 4))
    return np.concatenate([deltas @ mix + 1, rng.normal(size=(len(boxes), 2)) * 0.01], axis=1)


@pytest.fixture
def train(tmp_path: Path, images: BoxedImages) -> Trained:
    """Run the stage on proposals near objects of the classes `labels`; return its outputs and inputs."""

    def train(params: Params = PARAMS, labels: tuple[int, ...] = (1, 2), *, reverse: bool = False) -> dict[str, Any]:
        files = write_described(tmp_path, images, moved_a_little(images, labels), mixed_deltas)
        if reverse:
            write_records(files["regions"], dict(reversed(read_records(files["regions"]).items())))
        run(params, **files, out=tmp_path / "out", metrics=tmp_path / "metrics")
        return {
            "out": read_npz(tmp_path / "out"),
            "metrics": json.loads((tmp_path / "metrics").read_text()),
            "features": np.load(files["features"]),
            "regions": read_records(files["regions"]),
        }

    return train


def test_the_regression_leaves_a_smaller_error_than_the_mean_delta(train: Trained) -> None:
    found = train()
    assert found["out"]["weights"].shape == (2, 6, 4)
    assert found["out"]["biases"].shape == (2, 4)
    np.testing.assert_allclose(found["out"]["scale"], np.full(6, 10))  # 0.5 of the file, norm 20
    assert found["metrics"]["pairs"] == 3 * PER_OBJECT  # the difficult circle has no pairs
    for name, pairs in (("circle", 2 * PER_OBJECT), ("square", PER_OBJECT)):
        report = found["metrics"]["classes"][name]
        assert report["pairs"] == pairs
        assert 0 <= report["train_error"] < 0.01 * report["train_error_mean_delta"]


def test_proposals_are_moved_onto_their_objects(train: Trained, images: BoxedImages) -> None:
    found = train()
    record, target = found["regions"]["two_classes"], images.target("two_classes")
    boxes = record["boxes"]
    deltas = corrections(found["features"][: len(boxes)], found["out"])
    for label, gt_box in zip(target["labels"], target["boxes"], strict=True):
        near = (iou(boxes, gt_box[None])[:, 0] > 0.6) & ~record["is_gt"]
        assert near.sum() == PER_OBJECT
        moved = decode(torch.from_numpy(boxes[near]), torch.from_numpy(deltas[near, label - 1]).float()).numpy()
        assert iou(moved, gt_box[None]).min() > 0.97
        assert iou(boxes[near], gt_box[None]).mean() < 0.9


def test_a_larger_penalty_leaves_a_larger_error_but_never_more_than_the_mean_delta(train: Trained) -> None:
    errors = []
    for penalty in (1e-3, 10.0, 1e9):
        rules = PARAMS.train_bbox.model_copy(update={"ridge_lambda": [penalty]})
        report = train(PARAMS.model_copy(update={"train_bbox": rules}))["metrics"]["classes"]["circle"]
        errors.append(report["train_error"])
    assert errors[0] < errors[1] < errors[2] == pytest.approx(report["train_error_mean_delta"], rel=1e-3)


def test_of_several_penalties_the_one_with_the_smallest_error_on_held_out_images_is_taken(train: Trained) -> None:
    def metrics(penalties: list[float]) -> dict[str, Any]:
        rules = PARAMS.train_bbox.model_copy(update={"ridge_lambda": penalties})
        return train(PARAMS.model_copy(update={"train_bbox": rules}))["metrics"]

    found = metrics([1e6, 1e-3, 10.0])
    errors = found["held_out_error"]
    assert list(errors) == ["1e+06", "0.001", "10"]  # only circles have pairs in two images
    assert min(errors, key=errors.get) == "0.001"
    assert found["ridge_lambda"] == 0.001
    alone = metrics([1e-3])
    assert alone["held_out_error"] is None
    assert alone["classes"] == found["classes"]


def test_a_class_without_pairs_leaves_boxes_where_they_are(train: Trained) -> None:
    found = train(labels=(1,))
    assert not found["out"]["weights"][1].any()
    assert not found["out"]["biases"][1].any()
    assert found["out"]["weights"][0].any()
    nothing = {"pairs": 0, "train_error": None, "train_error_mean_delta": None}
    assert found["metrics"]["classes"]["square"] == nothing


def test_regions_of_other_images_are_refused(train: Trained, tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"regions\.npz is not of the training images"):
        train(reverse=True)
    assert not (tmp_path / "out").exists()
