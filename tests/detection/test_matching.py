import torch
from hypothesis import given
from hypothesis import strategies as st
from torchvision.models.detection._utils import SSDMatcher
from torchvision.ops import box_iou

from src.boxes.overlap import iou
from src.detection.matching import hardest, match
from src.detection.targets import padded

GRID = torch.tensor([[x, y, x + 20.0, y + 20] for y in range(0, 100, 10) for x in range(0, 100, 10)])


def matched_of(boxes: torch.Tensor, *objects: torch.Tensor, iou_thresh: float = 0.5) -> torch.Tensor:
    """Return the object [B, N] of each default box, or -1, of a batch with one tensor of boxes per image."""
    labelled = [{"boxes": one, "labels": torch.ones(len(one), dtype=torch.int64)} for one in objects]
    images, rows, items = match(boxes, padded(labelled), iou_thresh)
    matched = torch.full((len(objects), len(boxes)), -1)
    matched[images, rows] = items
    return matched


def of_one_image(boxes: torch.Tensor, gt_boxes: torch.Tensor, iou_thresh: float) -> torch.Tensor:
    """Match the default boxes of one image step by step, as an oracle."""
    if len(gt_boxes) == 0:
        return torch.full((len(boxes),), -1)
    overlaps = iou(gt_boxes, boxes)
    best, matched = overlaps.max(dim=0)
    matched[best < iou_thresh] = -1
    for _ in range(min(overlaps.shape)):
        row, column = divmod(int(overlaps.argmax()), overlaps.shape[1])
        matched[column] = row
        overlaps[row], overlaps[:, column] = -1, -1
    return matched


@given(seed=st.integers(0, 500), iou_thresh=st.sampled_from([0.0, 0.3, 0.5]), few=st.booleans())
def test_a_batch_is_matched_as_its_images_one_by_one(seed: int, iou_thresh: float, few: bool) -> None:
    generator = torch.Generator().manual_seed(seed)
    boxes = GRID[::40] if few else GRID  # few boxes: more objects than boxes, and objects without any overlap
    objects = []
    for count in torch.randint(0, 7, (5,), generator=generator).tolist():
        corner = (torch.rand(count, 2, generator=generator) * 40).round()
        objects.append(torch.cat([corner, corner + 3 + (torch.rand(count, 2, generator=generator) * 30).round()], 1))
    expected = torch.stack([of_one_image(boxes, one, iou_thresh) for one in objects])
    assert torch.equal(matched_of(boxes, *objects, iou_thresh=iou_thresh), expected)


def test_two_objects_with_the_same_best_box_both_find_one() -> None:
    """The released code gives the box to the later object, and the other object gets none (ssd.pytorch#354)."""
    boxes = torch.tensor([[0.0, 0, 20, 20], [60, 60, 80, 80], [0, 0, 40, 40]])
    objects = torch.tensor([[1.0, 1, 20, 20], [2, 2, 20, 20]])
    assert iou(objects, boxes).argmax(1).tolist() == [0, 0]
    assert SSDMatcher(0.5)(box_iou(objects, boxes)).tolist() == [1, -1, -1]  # the bug: object 0 is lost
    assert matched_of(boxes, objects).tolist() == [[0, -1, 1]]


@given(seed=st.integers(0, 500), count=st.integers(0, 8))
def test_every_object_is_matched_once_at_least_and_every_good_box_has_its_best(seed: int, count: int) -> None:
    generator = torch.Generator().manual_seed(seed)
    corner = torch.rand(count, 2, generator=generator) * 80
    objects = torch.cat([corner, corner + 5 + torch.rand(count, 2, generator=generator) * 30], dim=1)
    matched = matched_of(GRID, objects)[0]
    assert set(range(count)) <= set(matched.tolist())
    overlaps = iou(GRID, objects) if count else torch.zeros(len(GRID), 1)
    forced = torch.zeros(len(GRID), dtype=torch.bool)
    for row in (matched >= 0).nonzero().flatten():
        best, own = overlaps[row].max(), overlaps[row, matched[row]]
        forced[row] = own < 0.5 or own < best
    assert forced.sum() <= count
    assert (overlaps.max(1).values[matched < 0] < 0.5).all()


def test_the_hardest_negatives_of_each_image_are_taken_three_to_one() -> None:
    losses = torch.tensor([[9.0, 1, 5, 3, 4, 2], [6, 5, 4, 3, 2, 1], [1, 2, 3, 4, 5, 6]])
    positive = torch.zeros(3, 6, dtype=torch.bool)
    positive[0, 0] = positive[2, :4] = True
    found = hardest(losses, positive, 3.0)
    assert found[0].nonzero().flatten().tolist() == [2, 3, 4]
    assert not found[1].any()  # an image without objects
    assert found[2].nonzero().flatten().tolist() == [4, 5]  # only two negatives exist


@given(seed=st.integers(0, 200), per_positive=st.sampled_from([0.0, 0.5, 3.0, 100.0]), values=st.integers(1, 50))
def test_of_equal_losses_the_first_are_taken(seed: int, per_positive: float, values: int) -> None:
    generator = torch.Generator().manual_seed(seed)
    losses = torch.randint(0, values, (4, 40), generator=generator).float()
    positive = torch.rand(4, 40, generator=generator) < torch.tensor([[0.0], [0.05], [0.3], [0.9]])
    order = losses.masked_fill(positive, -torch.inf).argsort(dim=1, descending=True, stable=True)
    rank = order.argsort(dim=1)
    expected = (rank < (positive.sum(dim=1, keepdim=True) * per_positive).long()) & ~positive
    assert torch.equal(hardest(losses, positive, per_positive), expected)


def test_a_loss_that_is_no_number_is_the_hardest() -> None:
    losses = torch.tensor([[0.0, 5, torch.nan, 7]])
    assert hardest(losses, torch.tensor([[True, False, False, False]]), 1.0).tolist() == [[False, False, True, False]]
