import json

import numpy as np
import pandas as pd
import pytest

from src.files.prepared import write_prepared
from src.files.records import write_records
from src.splits import Splits
from stages.evaluate_proposals import Evaluate, Params, run

PARAMS = Params(
    splits=Splits(finetune="train", detectors="train", validation=None, train="train", test="held out"),
    evaluate=Evaluate(recall_at=[1, 2, 300]),
)

# Two objects, one of them difficult, and an image without any; `other` is of another split.
OBJECTS = {
    "a": ([[0, 0, 10, 10], [50, 50, 60, 60]], [False, True]),
    "empty": ([], []),
    "b": ([[20, 0, 40, 20]], [False]),
}
OTHER = {"other": ([[0, 0, 90, 90]], [False])}
PROPOSALS = {
    "a": [[0, 0, 10, 6], [0, 0, 10, 8]],  # IoU 0.6, then 0.8
    "empty": [[0, 0, 5, 5]],
    "b": [[80, 80, 90, 90], [0, 0, 5, 5], [20, 0, 40, 13]],  # IoU 0.65, third
    "other": [],
}


@pytest.fixture
def evaluate(tmp_path):
    """Run the stage on proposals; returns the metrics, recall by IoU and recall by number."""

    def evaluate(proposals, objects=OBJECTS):
        images = {
            image_id: {
                "file": "",
                "height": 100,
                "width": 100,
                "boxes": boxes,
                "labels": [1] * len(boxes),
                "difficult": hard,
            }
            for image_id, (boxes, hard) in {**objects, **OTHER}.items()
        }
        write_prepared(tmp_path / "voc.zip", ["car"], {"train": list(OTHER), "held out": list(objects)}, images, [])
        records = {image_id: {"boxes": np.array(b, np.float32).reshape(-1, 4)} for image_id, b in proposals.items()}
        write_records(tmp_path / "proposals.npz", records)
        outs = {name: tmp_path / name for name in ("out", "curves", "counts")}
        run(PARAMS, images=tmp_path / "voc.zip", proposals=tmp_path / "proposals.npz", **outs)
        return json.loads(outs["out"].read_text()), pd.read_csv(outs["curves"]), pd.read_csv(outs["counts"])

    return evaluate


def test_metrics_by_hand(evaluate):
    metrics, _, _ = evaluate(PROPOSALS)
    windows = {name: metrics.pop(name) for name in ("recall_50_sliding_window", "recall_70_sliding_window")}
    errors = metrics.pop("standard_error")
    assert list(errors) == ["recall_50", "recall_70", "mabo", "recall_50_at_1", "recall_50_at_2", "recall_50_at_300"]
    assert errors["recall_50"] == 0
    assert errors["recall_70"] == pytest.approx(0.38, abs=0.03)
    assert metrics == {
        "recall_50": 1.0,
        "recall_70": 0.5,
        "mabo": 0.725,
        "proposals_per_image": 2.0,
        "recall_50_at_1": 0.5,
        "recall_50_at_2": 0.5,
        "recall_50_at_300": 1.0,
        "images": 3,
        "objects": 2,
    }
    assert windows == {"recall_50_sliding_window": 0.0, "recall_70_sliding_window": 0.0}


def test_recall_by_iou(evaluate):
    _, curves, _ = evaluate(PROPOSALS)
    assert list(curves.columns) == ["iou", "recall", "sliding_window"]
    assert curves["iou"].tolist() == [0.5, 0.55, 0.6, 0.65, 0.7, 0.75, 0.8, 0.85, 0.9, 0.95]
    assert curves["recall"].tolist() == [1, 1, 1, 1, 0.5, 0.5, 0.5, 0, 0, 0]


def test_recall_by_number_ends_with_the_longest_list(evaluate):
    metrics, _, counts = evaluate(PROPOSALS)
    assert counts.to_numpy().tolist() == [[1, 0.5, 0, 0], [2, 0.5, 0.5, 0], [3, 1, 0.5, 0]]
    assert counts["recall_50"].iloc[-1] == metrics["recall_50"]


def test_sliding_windows_are_as_many_as_the_proposals(evaluate):
    # 2,000 windows find a square of half the image's side; the proposals, all alike, find nothing.
    many = {"a": [[0, 0, 1, 1]] * 2000, "other": []}
    few = {"a": [[0, 0, 1, 1]], "other": []}
    objects = {"a": ([[20, 30, 65, 75]], [False])}
    assert evaluate(many, objects)[0]["recall_70_sliding_window"] == 1
    assert evaluate(few, objects)[0]["recall_70_sliding_window"] == 0
    assert evaluate(many, objects)[0]["recall_50"] == 0


def test_the_curves_have_as_many_windows_beside_the_proposals(evaluate):
    objects = {"a": ([[20, 30, 65, 75]], [False])}
    _, curves, counts = evaluate({"a": [[0, 0, 1, 1]] * 2000, "other": []}, objects)
    assert curves["sliding_window"].tolist()[:5] == [1] * 5
    assert counts["sliding_window_50"].iloc[0] == 0  # a single window
    assert counts["sliding_window_50"].iloc[-1] == 1


def test_without_objects_recall_is_null(evaluate):
    metrics, curves, _ = evaluate({"empty": [[0, 0, 5, 5]], "other": []}, {"empty": ([], [])})
    assert metrics["recall_50"] is metrics["mabo"] is metrics["recall_50_at_1"] is None
    assert metrics["standard_error"]["recall_50"] is None
    assert metrics["objects"] == 0
    assert curves["recall"].isna().all()


def test_without_proposals_recall_is_zero(evaluate):
    metrics, _, counts = evaluate(dict.fromkeys(PROPOSALS, []))
    assert (metrics["recall_50"], metrics["mabo"], metrics["proposals_per_image"]) == (0, 0, 0)
    assert counts.to_numpy().tolist() == [[0, 0, 0, 0]]
