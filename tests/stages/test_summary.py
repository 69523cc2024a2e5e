import json
from pathlib import Path

import pandas as pd
import pytest

from stages.summary import Params, run


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Write the files of the evaluations, of two detectors that the list lacks and of the listed methods."""
    metrics = {
        "rcnn": {"map_voc07": 0.6, "map_voc12": 0.7, "map_coco": 0.3, "map_voc07_no_bbox": 0.5, "images": 6},
        "toy": {"map_voc07": None, "map_coco": 0.2, "map_voc07_untrained": 0.1},
        "proposals_selective_search": {"recall_50": 0.9, "recall_70": 0.8, "mabo": 0.7, "recall_50_at_10": 0.4},
        "proposals_rpn": {"recall_50": 0.95, "recall_70": 0.5, "recall_50_at_10": 0.6},  # not at 100: nobody asked
    }
    for name, content in metrics.items():
        (tmp_path / f"{name}.json").write_text(json.dumps(content))
    (tmp_path / "predictions").mkdir()
    for name, said in {"resnet50": "01", "plain": "11"}.items():
        table = pd.DataFrame({"path": ["a", "b"], "label": ["0", "1"], "predicted": list(said), "score": [0.9, 0.8]})
        table.to_csv(tmp_path / f"predictions/{name}.csv", index=False)
    return tmp_path


def test_the_headline_metrics_of_every_method_and_nothing_else(folder: Path) -> None:
    run(
        Params(),
        detections=[str(folder / "rcnn.json"), str(folder / "toy.json")],
        proposals=[str(folder / "proposals_selective_search.json"), str(folder / "proposals_rpn.json")],
        predictions=folder / "predictions",
        out=folder / "summary.json",
    )
    found = json.loads((folder / "summary.json").read_text())
    assert list(found.items()) == [
        ("rcnn.map_voc07", 0.6),
        ("rcnn.map_voc07_no_bbox", 0.5),
        ("rcnn.map_coco", 0.3),
        ("selective_search.recall_50", 0.9),
        ("selective_search.recall_70", 0.8),
        ("selective_search.mabo", 0.7),
        ("rpn.recall_50_at_10", 0.6),
        ("rpn.recall_50", 0.95),
        ("resnet50.accuracy", 1.0),
        ("toy.map_voc07", None),
        ("toy.map_coco", 0.2),
        ("plain.accuracy", 0.5),
    ]


def test_classes_that_look_like_numbers_are_compared_as_they_are_written(folder: Path) -> None:
    table = pd.DataFrame({"path": ["a", "b"], "label": ["01", "NA"], "predicted": ["1", "NA"], "score": [1, 1]})
    table.to_csv(folder / "predictions/plain.csv", index=False)
    run(Params(), detections=[], proposals=[], predictions=folder / "predictions", out=folder / "summary.json")
    assert json.loads((folder / "summary.json").read_text()) == {"resnet50.accuracy": 1.0, "plain.accuracy": 0.5}
