import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch.nn import functional
from torchvision.models.detection._utils import Matcher
from torchvision.ops import box_iou

from src.boxes.geometry import clip
from src.boxes.matching import IGNORED
from src.boxes.overlap import iou
from src.detection.anchor_loss import Loss, label_anchors, matched_objects, objectness_loss
from src.detection.rpn import Decode, Model
from src.detection.targets import padded
from src.detectors.rpn import Params, build, count, decode, figures, loss

RULES = Loss(
    fg_iou_thresh=0.7,
    bg_iou_thresh=0.3,
    anchors_per_image=256,
    fg_fraction=0.5,
    across_border=False,
    box_weight=1.0,
)
SIZE = (100, 100)
GRID = torch.tensor([[x, y, x + 20.0, y + 20] for y in range(0, 90, 10) for x in range(0, 90, 10)])


def targets_of(*objects: torch.Tensor, size: tuple[int, int] = SIZE) -> dict[str, torch.Tensor]:
    """Return the targets of a batch, one tensor of boxes per image."""
    labelled = [{"boxes": boxes, "labels": torch.ones(len(boxes), dtype=torch.int64)} for boxes in objects]
    return {**padded(labelled), "sizes": torch.tensor([size] * len(objects))}


def labels_of(boxes: torch.Tensor, objects: torch.Tensor, rules: Loss) -> tuple[torch.Tensor, torch.Tensor]:
    """Label the anchors of one image, and match all of them."""
    labels, found = label_anchors(boxes, targets_of(objects), rules)
    rows = torch.arange(len(boxes))
    return labels[0], matched_objects(found, torch.zeros_like(rows), rows, rules)


def of_one_image(boxes: torch.Tensor, gt_boxes: torch.Tensor, rules: Loss) -> tuple[torch.Tensor, torch.Tensor]:
    """Label the anchors of one image step by step, as an oracle."""
    labels = torch.full((len(boxes),), IGNORED)
    inside = (boxes == clip(boxes, SIZE)).all(dim=1) | rules.across_border
    if len(gt_boxes) == 0:
        labels[inside] = 0
        return labels, torch.zeros_like(labels)
    overlaps = iou(boxes, gt_boxes) * inside[:, None]
    best, matched = overlaps.max(dim=1)
    labels[best < rules.bg_iou_thresh] = 0
    most = overlaps.max(dim=0).values
    ties = (overlaps == most) & (most > 0)
    labels[ties.any(dim=1) | (best >= rules.fg_iou_thresh)] = 1
    forced = ties.any(dim=1) & (best < rules.fg_iou_thresh)
    matched[forced] = (overlaps * ties)[forced].argmax(dim=1)
    labels[~inside] = IGNORED
    return labels, matched


@given(seed=st.integers(0, 500), across_border=st.booleans())
def test_a_batch_is_labelled_as_its_images_one_by_one(seed: int, across_border: bool) -> None:
    generator = torch.Generator().manual_seed(seed)
    anchors = torch.cat([GRID, GRID + 8, GRID * 0.7])
    rules = RULES.model_copy(update={"across_border": across_border})
    objects = []
    for number in torch.randint(0, 5, (4,), generator=generator).tolist():
        corner = (torch.rand(number, 2, generator=generator) * 80).round()
        objects.append(torch.cat([corner, corner + 3 + (torch.rand(number, 2, generator=generator) * 30).round()], 1))
    labels, found = label_anchors(anchors, targets_of(*objects), rules)
    for image, gt_boxes in enumerate(objects):
        expected, matched = of_one_image(anchors, gt_boxes, rules)
        assert torch.equal(labels[image], expected)
        rows = (expected == 1).nonzero().flatten()
        assert torch.equal(matched_objects(found, torch.full_like(rows, image), rows, rules), matched[rows])


def test_labels_by_hand() -> None:
    objects = torch.tensor([[0.0, 0, 20, 20]])
    boxes = torch.tensor([[0.0, 0, 20, 18], [0, 0, 20, 12], [0, 0, 20, 4], [50, 50, 70, 70], [-1, 0, 20, 20]])
    labels, matched = labels_of(boxes, objects, RULES)
    assert labels.tolist() == [1, IGNORED, 0, 0, IGNORED]  # IoU 0.9, 0.6, 0.2, 0, and across the border
    assert matched[0] == 0
    labels, _ = labels_of(boxes, objects, RULES.model_copy(update={"across_border": True}))
    assert labels.tolist() == [1, IGNORED, 0, 0, 1]


def test_the_best_anchors_of_an_object_are_positive_whatever_their_overlap_and_all_of_equals() -> None:
    objects = torch.tensor([[8.0, 10, 12, 14]])  # IoU 0.04 with the anchors that contain it
    labels, _ = labels_of(GRID, objects, RULES)
    assert (labels == 1).sum() == 2
    assert (labels == 0).sum() == len(GRID) - 2
    overlaps = box_iou(GRID, objects)[:, 0]
    assert torch.equal(labels == 1, overlaps == overlaps.max())


def test_without_objects_all_is_background_but_what_crosses_the_border() -> None:
    boxes = torch.cat([GRID, torch.tensor([[90.0, 90, 110, 110]])])
    labels, _ = labels_of(boxes, torch.zeros(0, 4), RULES)
    assert labels.tolist() == [0] * len(GRID) + [IGNORED]


@given(seed=st.integers(0, 500), count=st.integers(1, 6))
def test_labels_are_torchvisions(seed: int, count: int) -> None:
    generator = torch.Generator().manual_seed(seed)
    corner = (torch.rand(count, 2, generator=generator) * 80).round()
    objects = torch.cat([corner, corner + 4 + (torch.rand(count, 2, generator=generator) * 30).round()], dim=1)
    labels, matched = labels_of(GRID, objects, RULES)
    theirs = Matcher(0.7, 0.3, allow_low_quality_matches=True)(box_iou(objects, GRID))
    # Differs: if no anchor overlaps an object, torchvision makes all anchors with an overlap of 0 positive.
    if (box_iou(objects, GRID).max(dim=1).values > 0).all():
        expected = torch.where(theirs >= 0, 1, torch.where(theirs == -1, 0, IGNORED))
        assert torch.equal(labels, expected)
    overlaps = box_iou(GRID, objects)
    own = overlaps[torch.arange(len(GRID)), matched][labels == 1]
    most = overlaps.max(dim=0).values[matched][labels == 1]
    assert ((own >= 0.7) | (own == most)).all()  # the matched object is the reason that an anchor is positive


@pytest.mark.parametrize("ignored", [torch.inf, -torch.inf, torch.nan, 1e30])
def test_ignored_anchors_change_neither_value_nor_gradient(ignored: float) -> None:
    """The tutorial also computes the loss of label -1 and multiplies it by 0, which turns infinity into NaN."""
    labels = torch.tensor([1, 0, IGNORED, 1])
    logits = torch.tensor([0.5, -1.0, ignored, 2.0], requires_grad=True)
    found = objectness_loss(logits, labels)
    found.backward()
    kept = torch.tensor([0.5, -1.0, 2.0], requires_grad=True)
    expected = functional.binary_cross_entropy_with_logits(kept, torch.tensor([1.0, 0, 1]))
    expected.backward()
    torch.testing.assert_close(found, expected, atol=1e-5, rtol=1e-5)
    torch.testing.assert_close(logits.grad[[0, 1, 3]], kept.grad, atol=1e-5, rtol=1e-5)
    assert logits.grad[2] == 0
    masked = (labels != IGNORED) * functional.binary_cross_entropy_with_logits(
        logits.detach(), labels.float(), reduction="none"
    )
    if ignored != 1e30:
        assert not masked.sum().isfinite()  # the bug


def test_only_ignored_anchors_are_loss_0() -> None:
    logits = torch.zeros(5, requires_grad=True)
    objectness_loss(logits, torch.full((5,), IGNORED)).backward()
    assert not logits.grad.any()


def test_the_loss_of_a_perfect_network_is_nothing() -> None:
    objects = torch.tensor([[10.0, 10, 30, 30]])
    labels, _ = labels_of(GRID, objects, RULES)
    outputs = {
        "anchors": GRID,
        "logits": torch.where(labels == 1, 30.0, -30.0)[None],
        "deltas": torch.zeros(1, len(GRID), 4),
    }
    found = loss(outputs, targets_of(objects), RULES)
    assert found["objectness_loss"] < 1e-9
    assert found["box_loss"] == 0
    shifted = {**outputs, "deltas": torch.full((1, len(GRID), 4), 0.5)}
    expected = 4 * (0.5 - 1 / 18) / int((labels != IGNORED).sum())  # one positive; all labelled anchors are sampled
    assert loss(shifted, targets_of(objects), RULES)["box_loss"].item() == pytest.approx(expected)


def test_proposals_are_the_best_without_near_duplicates_and_small_ones() -> None:
    anchors = torch.tensor([[0.0, 0, 20, 20], [1, 0, 21, 20], [50, 50, 70, 70], [80, 80, 81, 81], [90, 90, 120, 120]])
    outputs = {
        "anchors": anchors,
        "logits": torch.tensor([[1.0, 2.0, 0.0, 5.0, -1.0]]),
        "deltas": torch.zeros(1, 5, 4),
        "input_size": torch.tensor(SIZE),
    }
    rules = Decode(candidates=10, nms_thresh=0.7, min_side=3, max_per_image=10)
    found = decode(outputs, [(200, 50)], rules)[0]
    scale = torch.tensor([0.5, 2, 0.5, 2])
    expected = torch.stack([anchors[1], anchors[2], torch.tensor([90.0, 90, 100, 100])]) * scale
    torch.testing.assert_close(found["boxes"], expected)
    assert found["labels"].tolist() == [1, 1, 1]
    few = decode(outputs, [SIZE], rules.model_copy(update={"max_per_image": 1, "min_side": 0.0}))[0]
    torch.testing.assert_close(few["boxes"], anchors[3:4])


def test_figures_of_the_positive_anchors_beside_an_accuracy_that_says_nothing() -> None:
    objects = torch.tensor([[10.0, 10, 30, 30], [60, 60, 80, 80]])
    labels, _ = labels_of(GRID, objects, RULES)
    logits = torch.full((1, len(GRID)), -1.0)
    outputs = {"anchors": GRID, "logits": logits, "shape_scales": torch.ones(1)}
    targets = targets_of(objects)
    negative = figures(count(outputs, targets, RULES))
    assert negative["recall"] == negative["precision"] == 0
    assert negative["accuracy"] == negative["accuracy_always_background"] > 0.9
    logits[0, labels == 1] = 1.0
    logits[0, (labels == 0).nonzero()[:2]] = 1.0
    logits[0, (labels == IGNORED).nonzero()[:1]] = 1.0  # ignored anchors do not count
    found = figures(count(outputs, targets, RULES))
    assert (found["recall"], found["precision"]) == (1.0, 0.5)


def test_shapes_without_a_positive_anchor_are_counted() -> None:
    small = GRID.clone()
    small[:, 2:] -= 17
    anchors = torch.stack([GRID, small, GRID + 200], dim=1).reshape(-1, 4)  # three shapes; the last is never inside
    outputs = {"anchors": anchors, "logits": torch.zeros(1, len(anchors)), "shape_scales": torch.ones(3)}
    objects = torch.tensor([[10.0, 10, 30, 30]])
    counts = count(outputs, targets_of(objects), RULES)
    assert [counts[f"positive_{shape}"] for shape in range(3)] == [1, 0, 0]
    assert figures(counts)["shapes_without_label"] == 2


MODEL = Model(
    backbone="plain", width=0.25, size=128, longest=None, channels=8, scales=[24.0, 96.0], aspect_ratios=[0.5, 1.0]
)


def params(model: Model, across_border: bool) -> Params:
    augment = {"photometric": False, "zoom_out": 0.0, "crop": False, "flip": 0.0}
    loss = {**RULES.model_dump(), "across_border": across_border}
    rules = {"candidates": 10, "nms_thresh": 0.7, "min_side": 3.0, "max_per_image": 10}
    return Params.model_validate(
        {
            "weights": "none",
            "new_layer_lr": 1.0,
            "model": model.model_dump(),
            "loss": loss,
            "augment": augment,
            "decode": rules,
        }
    )


def test_a_shape_that_fits_nowhere_is_refused_if_anchors_across_the_border_are_ignored() -> None:
    with pytest.raises(
        ValueError, match=r"across_border = false and model.scales .* every anchor of 96 x 0.5 \(.* 128 x 128"
    ):
        params(MODEL, across_border=False)
    assert params(MODEL, across_border=True).model == MODEL
    long = MODEL.model_copy(update={"longest": 192})  # 136 pixels wide
    assert params(long, across_border=False).model == long
    high = long.model_copy(update={"aspect_ratios": [2.0]})  # fits into an upright image
    assert params(high, across_border=False).model == high


def test_the_longer_side_must_be_longer() -> None:
    with pytest.raises(ValueError, match="longest = 128: it must be larger than size = 128, or null"):
        params(MODEL.model_copy(update={"longest": 128}), across_border=True)


def test_anchors_in_the_padding_are_neither_objects_nor_background() -> None:
    targets = targets_of(torch.tensor([[40.0, 40, 58, 58]]), torch.zeros(0, 4), size=(100, 50))
    for across_border in (True, False):
        labels, _ = label_anchors(GRID, targets, RULES.model_copy(update={"across_border": across_border}))
        limit = 50 if across_border else 40
        outside = (GRID[:, :2] + GRID[:, 2:])[:, 0] / 2 >= 50 if across_border else GRID[:, 2] > 50
        assert outside.any()
        assert (labels[:, outside] == IGNORED).all()
        assert (labels[1, ~outside] == 0).all()
        assert (GRID[labels[0] == 1][:, 0] < limit).all()


def test_proposals_of_padded_images_lie_in_their_images() -> None:
    torch.manual_seed(0)
    net = build(2, MODEL.model_copy(update={"size": 64, "longest": 128})).eval()
    rules = Decode(candidates=1000, nms_thresh=0.9, min_side=2.0, max_per_image=1000)
    sizes = [(90, 120), (200, 100)]  # 64 x 85 and 128 x 64 pixels of the input
    with torch.inference_mode():
        outputs = net(torch.rand(2, 3, 128, 96))
    outputs = {**outputs, "deltas": outputs["deltas"] * 0}
    for found, (height, width), (rows, columns) in zip(
        decode(outputs, sizes, rules), sizes, [(64, 85), (128, 64)], strict=True
    ):
        boxes = found["boxes"]
        assert (boxes >= 0).all()
        assert (boxes <= torch.tensor([width, height, width, height]) + 1e-3).all()
        assert boxes[:, 2].max() == pytest.approx(width)
        assert boxes[:, 3].max() == pytest.approx(height)
        assert (found["scores"] > 0).all()
        x, y = ((outputs["anchors"][:, :2] + outputs["anchors"][:, 2:]) / 2).unbind(1)
        assert len(boxes) <= int(((x < columns) & (y < rows)).sum())


def test_anchors_are_built_once_for_every_shape_of_the_input() -> None:
    net = build(2, MODEL).eval()
    with torch.inference_mode():
        first = net(torch.zeros(1, 3, 64, 64))["anchors"]
    assert net(torch.zeros(2, 3, 64, 64))["anchors"] is first
    assert not first.is_inference()  # a later training can use it
    assert len(net(torch.zeros(1, 3, 64, 96))["anchors"]) == len(first) * 3 // 2
