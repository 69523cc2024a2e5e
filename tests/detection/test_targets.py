import torch

from src.boxes.overlap import iou
from src.detection.targets import NEVER, overlaps, padded

BOXES = torch.tensor([[0.0, 0, 10, 10], [5, 5, 20, 20], [30, 30, 40, 50]])
ONE = {"boxes": BOXES[:1], "labels": torch.tensor([3])}
TWO = {"boxes": BOXES[1:], "labels": torch.tensor([1, 2])}
NONE = {"boxes": torch.zeros(0, 4), "labels": torch.zeros(0, dtype=torch.int64)}


def test_objects_are_padded_to_the_most_of_the_batch() -> None:
    found = padded([ONE, NONE, TWO])
    assert found["labels"].tolist() == [[3, 0], [0, 0], [1, 2]]
    assert torch.equal(found["boxes"][2], TWO["boxes"])
    assert not found["boxes"][1].any()


def test_a_batch_without_objects_has_one_row_of_padding() -> None:
    found = padded([NONE, NONE])
    assert found["labels"].tolist() == [[0], [0]]
    assert found["boxes"].shape == (2, 1, 4)


def test_overlaps_are_those_of_each_image_and_padding_never_matches() -> None:
    anchors = torch.cat([BOXES, torch.zeros(1, 4)])
    found = overlaps(padded([ONE, NONE, TWO]), anchors)
    assert torch.equal(found[0, :1], iou(ONE["boxes"], anchors))
    assert torch.equal(found[2], iou(TWO["boxes"], anchors))
    assert (found[0, 1:] == NEVER).all()
    assert (found[1] == NEVER).all()
