import json
from collections.abc import Callable
from typing import Any

import pytest

from src.cards.figures import of_anchors, of_classifier, of_detections, of_proposals
from tests.repository import Repository

Read = Callable[[str], dict[str, Any]]


@pytest.fixture
def read(made_repository: Repository) -> Read:
    """Return a function that reads a metrics file of the stages by name."""
    return lambda name: json.loads((made_repository.path / f"metrics/{name}.json").read_text())


def test_every_score_of_a_detector_with_its_baseline(read: Read) -> None:
    rcnn, ssd = read("rcnn"), read("ssd300")
    first, without, *_, last = of_detections(rcnn)
    assert first.value == rcnn["map_voc07"]
    assert first.baselines == {"random ranking of the proposals": rcnn["map_voc07_random"]}
    assert without.value == rcnn["map_voc07_no_bbox"]
    assert last == ("AP of tree, VOC 2007", rcnn["ap"]["tree"], {}, None)
    assert of_detections(ssd)[0].baselines == {"before training": ssd["map_voc07_untrained"]}


def test_recall_stands_beside_a_sliding_window_and_the_untrained_network(read: Read) -> None:
    rpn, untrained = read("proposals_rpn"), read("proposals_rpn_untrained")
    rows = {row.measure: row for row in of_proposals(rpn, untrained)}
    whole = rows["recall at IoU 0.5, all proposals"]
    wanted = {"sliding window": rpn["recall_50_sliding_window"], "before training": untrained["recall_50"]}
    assert whole.baselines == wanted
    assert rows["recall at IoU 0.5, the first 10"].baselines == {"before training": untrained["recall_50_at_10"]}
    assert of_proposals(rpn)[2].baselines == {}


def test_accuracy_over_anchors_stands_beside_calling_all_background(read: Read) -> None:
    rpn = read("rpn")
    assert of_anchors(rpn)[-1].baselines["all background"] == rpn["accuracy_always_background"]


def test_accuracy_of_a_classifier_stands_beside_the_most_frequent_class() -> None:
    scores = {"accuracy": 0.9, "macro_f1": 0.8, "loss": 0.3, "calibration_error": 0.05}
    classes = {"one": {"precision": 1.0, "recall": 0.75, "images": 4}}
    first, *_, last = of_classifier(
        {
            **scores,
            "standard_error": {"accuracy": 0.02},
            "accuracy_most_frequent": 0.2,
            "most_frequent": "one",
            "by_class": classes,
        }
    )
    assert first == ("accuracy", 0.9, {"always one": 0.2}, 0.02)
    assert last == ("recall of one", 0.75, {}, None)
