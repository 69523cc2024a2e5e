from typing import Any

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torchvision.models.detection.roi_heads import RoIHeads, fastrcnn_loss

from src.detection.regions import Choice, Rules, choose, decode_regions, region_loss, together
from src.detection.targets import padded

CHOICE = Choice(
    include_gt=True,
    regions_per_image=1000,
    fg_fraction=1.0,
    fg_iou_thresh=0.5,
    bg_iou_min=0.0,
    box_weight=1.0,
    box_beta=1.0,
)
RULES = Rules(score_thresh=0.05, nms_thresh=0.5, max_per_image=20)
STD = (0.1, 0.1, 0.2, 0.2)
NONE = {"boxes": torch.zeros(0, 4), "labels": torch.zeros(0, dtype=torch.int64)}
CLASSES = 4
SIZE = (100, 100)


def boxes_of(count: int, generator: torch.Generator) -> torch.Tensor:
    corner = (torch.rand(count, 2, generator=generator) * 70).round()
    return torch.cat([corner, corner + 5 + (torch.rand(count, 2, generator=generator) * 25).round()], dim=1)


def drawn(seed: int) -> tuple[list[torch.Tensor], list[dict[str, torch.Tensor]]]:
    """Return proposals and objects of three images; those near objects have a high overlap, and one has no object."""
    generator = torch.Generator().manual_seed(seed)
    proposals, objects = [], []
    for count in (3, 0, 1):
        gt_boxes = boxes_of(count, generator)
        near = gt_boxes + torch.randint(-3, 4, (count, 4), generator=generator)
        proposals.append(torch.cat([boxes_of(6, generator), near]))
        labels = torch.randint(1, CLASSES, (count,), generator=generator)
        objects.append({"boxes": gt_boxes, "labels": labels})
    return proposals, objects


def theirs(num_regions: int = 1000, fraction: float = 1.0) -> RoIHeads:
    """torchvision's head without its layers."""
    none: Any = torch.nn.Identity()
    weights = tuple(1 / value for value in STD)
    return RoIHeads(none, none, none, 0.5, 0.5, num_regions, fraction, weights, 0.05, 0.5, 20)


@given(seed=st.integers(0, 300))
def test_labels_and_objects_are_torchvisions(seed: int) -> None:
    proposals, objects = drawn(seed)
    found = choose(proposals, padded(objects), CHOICE)
    boxes, _, labels, wanted = theirs().select_training_samples(proposals, objects)
    for image in range(3):
        own = found.images == image
        ours = _sorted(found.boxes[own], found.labels[own])
        assert torch.equal(ours, _sorted(boxes[image], labels[image]))
    positive = found.labels > 0
    deltas = theirs().box_coder.encode_single(found.objects[positive], found.boxes[positive])
    by_box = {tuple(box): row for box, row in zip(torch.cat(boxes).tolist(), torch.cat(list(wanted)), strict=True)}
    for box, delta in zip(found.boxes[positive].tolist(), deltas, strict=True):
        torch.testing.assert_close(delta, by_box[tuple(box)])


def _sorted(boxes: torch.Tensor, labels: torch.Tensor) -> torch.Tensor:
    rows = torch.cat([boxes, labels[:, None].float()], dim=1)
    return torch.tensor(sorted(rows.tolist())).reshape(-1, 5)


def test_a_quarter_is_objects_and_background_fills_the_rest() -> None:
    objects = [{"boxes": torch.tensor([[0.0, 0, 20, 20]]), "labels": torch.tensor([2])}]
    proposals = [torch.cat([torch.tensor([[0.0, 0, 20, 19]] * 30), torch.tensor([[50.0, 50, 70, 70]] * 30)])]
    rules = CHOICE.model_copy(update={"regions_per_image": 16, "fg_fraction": 0.25})
    found = choose(proposals, padded(objects), rules)
    assert sorted(found.labels.tolist()) == [0] * 12 + [2] * 4
    few = choose([proposals[0][:1]], padded(objects), rules)
    assert few.labels.tolist() == [2, 2]  # the proposal, and the object itself
    assert choose(
        [proposals[0][:1]], padded(objects), rules.model_copy(update={"include_gt": False})
    ).labels.tolist() == [2]


def test_background_is_from_the_smallest_overlap_on() -> None:
    objects = [{"boxes": torch.tensor([[0.0, 0, 20, 20]]), "labels": torch.tensor([1])}, NONE]
    boxes = torch.tensor([[0.0, 0, 20, 8], [0, 0, 20, 2.5], [0, 0, 20, 1], [50, 50, 70, 70]])  # IoU .4 .125 .05 0
    rules = CHOICE.model_copy(update={"include_gt": False, "bg_iou_min": 0.1})
    found = choose([boxes, boxes], padded(objects), rules)
    assert found.images.tolist() == [0, 0]  # the image without objects has no such overlap
    assert torch.equal(found.boxes, boxes[:2])
    every = choose([boxes, boxes], padded(objects), rules.model_copy(update={"bg_iou_min": 0.0}))
    assert every.images.tolist() == [0] * 4 + [1] * 4
    assert not every.labels.any()


def test_no_proposals_are_no_special_case() -> None:
    empty = [torch.zeros(0, 4)] * 2
    images, boxes = together(empty)
    assert images.shape == (0,)
    assert boxes.shape == (0, 4)
    objects = [{"boxes": torch.tensor([[0.0, 0, 20, 20]]), "labels": torch.tensor([1])}, NONE]
    assert choose(empty, padded(objects), CHOICE).labels.tolist() == [1]
    without = choose(empty, padded(objects), CHOICE.model_copy(update={"include_gt": False}))
    assert len(without.labels) == 0
    losses = region_loss(outputs_of(without._asdict()), CHOICE)
    assert losses["class_loss"] == losses["box_loss"] == 0


def outputs_of(regions: dict[str, torch.Tensor], seed: int = 0) -> dict[str, torch.Tensor]:
    generator = torch.Generator().manual_seed(seed)
    count = len(regions["boxes"])
    return {
        **regions,
        "logits": torch.randn(count, CLASSES, generator=generator),
        "deltas": torch.randn(count, CLASSES - 1, 4, generator=generator) / 3,
        "deltas_std": torch.tensor(STD),
        "input_size": torch.tensor(SIZE),
    }


def with_background(deltas: torch.Tensor) -> torch.Tensor:
    """Return our deltas [K, C - 1, 4] in the shape of torchvision's, which has some of the background, too."""
    return torch.cat([torch.full_like(deltas[:, :1], 7.0), deltas], dim=1).flatten(1)


@given(seed=st.integers(0, 100))
def test_the_loss_is_torchvisions(seed: int) -> None:
    """torchvision's smooth L1 has a beta of 1/9 in place of 1: nine times the deltas, it is a ninth of ours."""
    proposals, objects = drawn(seed)
    found = choose(proposals, padded(objects), CHOICE)
    outputs = outputs_of(found._asdict(), seed)
    ours = region_loss({**outputs, "deltas": outputs["deltas"] * 9, "deltas_std": outputs["deltas_std"] / 9}, CHOICE)
    targets = torch.zeros(len(found.labels), 4)
    positive = found.labels > 0
    targets[positive] = theirs().box_coder.encode_single(found.objects[positive], found.boxes[positive])
    class_loss, box_loss = fastrcnn_loss(
        outputs["logits"], with_background(outputs["deltas"]), [found.labels], [targets]
    )
    torch.testing.assert_close(ours["class_loss"], class_loss)
    torch.testing.assert_close(ours["box_loss"] / 9, box_loss)
    with_its_beta = region_loss(outputs, CHOICE.model_copy(update={"box_beta": 1 / 9}))
    torch.testing.assert_close(with_its_beta["box_loss"], box_loss)


def test_background_has_no_box_loss_and_the_weight_counts() -> None:
    proposals, objects = drawn(0)
    found = choose(proposals, padded(objects), CHOICE)._asdict()
    outputs = outputs_of({**found, "labels": torch.zeros_like(found["labels"])})
    assert region_loss(outputs, CHOICE)["box_loss"] == 0
    outputs = outputs_of(found)
    twice = region_loss(outputs, CHOICE.model_copy(update={"box_weight": 2.0}))
    assert twice["box_loss"] == 2 * region_loss(outputs, CHOICE)["box_loss"]


@given(seed=st.integers(0, 100))
def test_detections_are_torchvisions(seed: int) -> None:
    proposals, _ = drawn(seed)
    images, boxes = together(proposals)
    outputs = outputs_of({"images": images, "boxes": boxes}, seed)
    sizes = [SIZE] * 3
    found = decode_regions(outputs, sizes, RULES)
    expected = theirs().postprocess_detections(outputs["logits"], with_background(outputs["deltas"]), proposals, sizes)
    for ours, boxes, scores, labels in zip(found, *expected, strict=True):
        torch.testing.assert_close(ours["scores"], scores)
        torch.testing.assert_close(ours["boxes"], boxes, atol=1e-4, rtol=1e-5)
        assert torch.equal(ours["labels"], labels)


@pytest.mark.parametrize("scaling", [None, (50, 200)])
def test_detections_are_in_pixels_of_their_image(scaling: tuple[int, int] | None) -> None:
    outputs = outputs_of({"images": torch.tensor([1]), "boxes": torch.tensor([[10.0, 10, 40, 30]])})
    outputs = {**outputs, "deltas": outputs["deltas"] * 0, "logits": torch.tensor([[0.0, 0, 9, 0]])}
    outputs |= {"scaling": torch.tensor(scaling)} if scaling else {}
    none, one = decode_regions(outputs, [(30, 30), (100, 200)], RULES)
    assert len(none["boxes"]) == 0
    # the image is 100 x 100 pixels of the input, or with its aspect ratio 50 x 100
    expected = [20.0, 20.0, 80.0, 60.0] if scaling else [20.0, 10.0, 80.0, 30.0]
    assert one["boxes"].tolist() == [pytest.approx(expected)]
    assert one["labels"].tolist() == [2]
