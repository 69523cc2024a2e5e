from pathlib import Path

import numpy as np
import pytest
import torch
from torchvision.ops import batched_nms

from src.detection.sizes import Size
from src.errors import InputError
from src.export.graph import Boxes, decoded, graph_of
from src.prediction.classifier import Classifier
from src.prediction.dense import Dense
from tests.export.methods import method
from tests.trained import scene


@pytest.mark.parametrize("name", ["ssd300", "rpn"])
def test_boxes_and_scores_are_those_that_the_pipeline_starts_from(checkout: Path, name: str) -> None:
    """With the pipeline's thresholds and NMS, they are its detections."""
    dense, image = method(name), scene(90, 120)
    assert isinstance(dense, Dense)
    wanted = dense.detect(image, "x")
    graph, _ = graph_of(dense)
    with torch.inference_mode():
        boxes, scores = (found[0] for found in graph(dense.input(image)[None]))
    boxes = boxes * torch.tensor([120, 90] * 2)
    rules = dense.section.decode
    large = ((boxes[:, 2:] - boxes[:, :2]) >= getattr(rules, "min_side", 0)).all(1)
    rows, labels = torch.nonzero((scores > getattr(rules, "score_thresh", -1)) & large[:, None], as_tuple=True)
    found = scores[rows, labels]
    kept = batched_nms(boxes[rows], found, labels, rules.nms_thresh)[: rules.max_per_image]
    assert len(wanted["boxes"]) > 5
    same(
        np.column_stack([boxes[rows][kept], found[kept], labels[kept] + 1]),
        np.column_stack([wanted["boxes"], wanted["scores"], wanted["labels"]]),
    )


def same(found: np.ndarray, wanted: np.ndarray) -> None:
    """Check that the rows are the same; rows of nearly equal scores may have another order."""
    assert found.shape == wanted.shape
    gaps = np.abs(found[:, None] - wanted[None]).max(2)
    assert gaps.min(0).max() < 1e-3
    assert gaps.min(1).max() < 1e-3


@pytest.mark.parametrize("name", ["mobilenet_v3", "resnet50"])  # without and with the mirror image
def test_probabilities_are_those_of_the_pipeline(checkout: Path, name: str) -> None:
    classifier, image = method(name), scene(40, 50)
    assert isinstance(classifier, Classifier)
    wanted = classifier.probabilities(image)
    graph, size = graph_of(classifier)
    assert size == tuple(classifier.section.input.size)
    with torch.inference_mode():
        found = graph(classifier.input(image)[None])
    np.testing.assert_allclose(found[0], wanted, atol=1e-6)


def test_boxes_are_shares_of_a_side_and_inside() -> None:
    outputs = {
        "logits": torch.zeros(2, 1),
        "deltas": torch.zeros(2, 1, 4),
        "anchors": torch.tensor([[-8.0, 8.0, 8.0, 48.0]]),
    }
    boxes, scores = decoded(outputs, size=(32, 64))
    assert boxes.tolist() == [[[0.0, 0.25, 0.125, 1.0]]] * 2
    assert scores.tolist() == [[[0.5]]] * 2


def test_the_background_has_no_column_among_the_scores() -> None:
    logits = torch.log(torch.tensor([[[0.7, 0.2, 0.1]]]))
    _, scores = decoded({"logits": logits, "deltas": torch.zeros(1, 1, 4), "anchors": torch.ones(1, 4)}, size=(8, 8))
    torch.testing.assert_close(scores, torch.tensor([[[0.2, 0.1]]]))


def test_a_network_of_another_kind_is_refused() -> None:
    class Other(torch.nn.Module):
        def forward(self, images: torch.Tensor) -> dict[str, torch.Tensor]:
            return {"heatmap": images}

    with pytest.raises(InputError, match="the network's outputs are heatmap; export needs logits"):
        Boxes(Other())(torch.zeros(1, 3, 8, 8))


def test_a_detector_that_keeps_the_aspect_ratio_has_no_fixed_input(checkout: Path) -> None:
    dense = method("rpn")
    assert isinstance(dense, Dense)
    dense.size = Size(64, 100)
    with pytest.raises(InputError, match=r"model.longest = 100\), .* fixed square input: train it with"):
        graph_of(dense)


@pytest.mark.parametrize("name", ["fast_rcnn", "faster_rcnn"])
def test_a_detector_of_two_stages_has_no_fixed_number_of_boxes(checkout: Path, name: str) -> None:
    dense = method(name)
    assert isinstance(dense, Dense)
    with pytest.raises(InputError, match="this model has two stages, .* use `python -m commands.predict`"):
        graph_of(dense)
