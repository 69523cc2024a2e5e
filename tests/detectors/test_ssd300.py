import math

import pytest
import torch
from torch.nn import functional
from torchvision.models.detection import ssd300_vgg16
from torchvision.models.detection._utils import SSDMatcher
from torchvision.ops import box_iou

from src.boxes.geometry import encode
from src.detection.targets import padded
from src.detectors import ssd300
from src.detectors.ssd300 import Decode, Loss, Model, build, decode, loss

VGG = Model(
    backbone="vgg16",
    width=1.0,
    size=300,
    extra_channels=[512, 256, 256, 256],
    first_scale=0.07,
    smallest_scale=0.15,
    largest_scale=0.87,
    aspect_ratios=[[2.0], [2.0, 3.0], [2.0, 3.0], [2.0, 3.0], [2.0], [2.0]],
    scales=None,
    strides=[8.0, 16.0, 32.0, 64.0, 100.0, 300.0],
    variances=[0.1, 0.1, 0.2, 0.2],
)
VARIANCES = torch.tensor(VGG.variances)
RULES = Loss(iou_thresh=0.5, negatives_per_positive=3.0, box_weight=1.0)
GRID = torch.tensor([[x, y, x + 20.0, y + 20] for y in range(0, 100, 10) for x in range(0, 100, 10)])


@pytest.fixture(scope="module")
def theirs() -> torch.nn.Module:
    torch.manual_seed(0)
    return ssd300_vgg16(weights=None, weights_backbone=None, num_classes=4)


@pytest.fixture(scope="module")
def ours(theirs: torch.nn.Module) -> torch.nn.Module:
    """Load torchvision's weights; both have the same layers in the same order, except for the position of the scale."""
    net = build(4, VGG)
    source = [value for name, value in theirs.named_parameters() if not name.endswith("scale_weight")]
    target = [(name, value) for name, value in net.named_parameters() if not name.endswith("norm.scale")]
    with torch.no_grad():
        net.backbone.norm.scale.copy_(theirs.backbone.scale_weight)
        for (name, value), other in zip(target, source, strict=True):
            assert value.shape == other.shape, name
            value.copy_(other)
    return net.eval()


def test_the_layout_of_the_paper_is_torchvisions(ours: torch.nn.Module, theirs: torch.nn.Module) -> None:
    with torch.inference_mode():
        outputs = ours(torch.rand(1, 3, 300, 300))
    assert outputs["logits"].shape == (1, 8732, 4)
    assert outputs["deltas"].shape == (1, 8732, 4)
    count = sum(value.numel() for value in theirs.parameters())
    assert sum(value.numel() for value in ours.parameters()) == count


def test_outputs_are_torchvisions_from_the_same_weights(ours: torch.nn.Module, theirs: torch.nn.Module) -> None:
    torch.manual_seed(0)
    images = torch.rand(1, 3, 300, 300)
    with torch.inference_mode():
        found = ours(images)
        head = theirs.eval().head(list(theirs.backbone(images).values()))
    torch.testing.assert_close(found["deltas"], head["bbox_regression"], atol=1e-4, rtol=1e-3)
    torch.testing.assert_close(found["logits"], head["cls_logits"], atol=1e-4, rtol=1e-3)


def test_images_differ_in_every_map_at_the_start_at_least_half_as_much_as_in_torchvisions(
    theirs: torch.nn.Module,
) -> None:
    """From PyTorch's own initial values, the spread of the last map was a hundredth of torchvision's."""
    torch.manual_seed(0)
    net = build(4, VGG).eval()
    torch.manual_seed(0)
    images = functional.interpolate(torch.randn(2, 3, 10, 10), size=300, mode="bilinear")
    with torch.inference_mode():
        maps = net.backbone(images)
        for layer in net.extras:
            maps.append(layer(maps[-1]))
        spreads = [float(features.std(dim=0).mean()) for features in maps]
        others = [float(features.std(dim=0).mean()) for features in theirs.eval().backbone(images).values()]
    assert all(spread > other / 2 for spread, other in zip(spreads, others, strict=True))
    assert spreads[-1] > 1e-3 * spreads[1]
    heads = [*net.classify, *net.regress]
    assert all(head.bias.abs().max() == 0 for head in heads)
    limit = math.sqrt(6 / (9 * 512 + 9 * 16))  # Xavier's, of the first head
    assert 0.95 * limit < net.classify[0].weight.abs().max() <= limit


@pytest.mark.parametrize("objects", [1, 2, 3])
def test_the_loss_is_torchvisions_where_no_two_objects_share_a_best_box(
    ours: torch.nn.Module, theirs: torch.nn.Module, objects: int
) -> None:
    torch.manual_seed(objects)
    boxes = torch.tensor([[20.0, 30, 120, 160], [150, 10, 290, 90], [200, 180, 230, 230]])[:objects]
    targets = [{"boxes": boxes, "labels": torch.tensor([1, 2, 3])[:objects]}]
    fixed = {
        "logits": torch.randn(1, 8732, 4),
        "deltas": torch.randn(1, 8732, 4),
        "default_boxes": ours.default_boxes,
        "variances": VARIANCES,
    }
    matched = [SSDMatcher(0.5)(box_iou(boxes, ours.default_boxes))]
    heads = {"bbox_regression": fixed["deltas"], "cls_logits": fixed["logits"]}
    expected = theirs.compute_loss(targets, heads, [ours.default_boxes], matched)
    found = loss(fixed, padded(targets), RULES)
    torch.testing.assert_close(found["class_loss"], expected["classification"], atol=1e-4, rtol=1e-4)
    torch.testing.assert_close(found["box_loss"], expected["bbox_regression"], atol=1e-4, rtol=1e-4)


def test_the_loss_by_hand() -> None:
    objects = torch.tensor([[0.0, 0, 20, 20]])
    outputs = {
        "default_boxes": torch.tensor([[0.0, 0, 20, 20], [0, 0, 20, 24], [50, 50, 70, 70], [70, 70, 90, 90]]),
        "variances": VARIANCES,
        "logits": torch.tensor([[[0.0, 0], [0, 0], [0, 2], [0, -2]]]),
        "deltas": torch.zeros(1, 4, 4),
    }
    rules = RULES.model_copy(update={"negatives_per_positive": 0.5})
    found = loss(outputs, padded([{"boxes": objects, "labels": torch.tensor([1])}]), rules)
    # There are two positives with log 2 each, and the harder of the two negatives.
    assert found["class_loss"].item() == pytest.approx((2 * math.log(2) + math.log(1 + math.exp(2))) / 2)
    wanted = encode(outputs["default_boxes"][1:2], objects) / torch.tensor([0.1, 0.1, 0.2, 0.2])
    expected = functional.smooth_l1_loss(wanted, torch.zeros(1, 4), reduction="sum") / 2
    assert found["box_loss"].item() == pytest.approx(expected.item())


def test_no_object_in_the_batch_is_loss_0_and_gradient_0() -> None:
    logits = torch.randn(2, len(GRID), 4, requires_grad=True)
    deltas = torch.zeros(2, len(GRID), 4)
    outputs = {"default_boxes": GRID, "variances": VARIANCES, "logits": logits, "deltas": deltas}
    none = {"boxes": torch.zeros(0, 4), "labels": torch.zeros(0, dtype=torch.int64)}
    found = loss(outputs, padded([none, none]), RULES)
    (found["class_loss"] + found["box_loss"]).backward()
    assert found["class_loss"] == found["box_loss"] == 0  # the released code divides by 0
    assert not logits.grad.any()


def test_detections_are_torchvisions_from_the_same_outputs(ours: torch.nn.Module, theirs: torch.nn.Module) -> None:
    torch.manual_seed(0)
    logits, deltas = 3 * torch.randn(1, 8732, 4), torch.randn(1, 8732, 4)
    boxes = ours.default_boxes
    heads = {"bbox_regression": deltas, "cls_logits": logits}
    expected = theirs.postprocess_detections(heads, [boxes], [(300, 300)])[0]
    outputs = {"logits": logits, "deltas": deltas, "default_boxes": boxes, "variances": VARIANCES}
    outputs["input_size"] = torch.tensor([300, 300])
    rules = Decode(score_thresh=0.01, candidates=400, nms_thresh=0.45, max_per_image=200)
    found = decode(outputs, [(300, 300)], rules)[0]
    for record in (found, expected):  # equal scores may come in any order
        order = sorted(range(len(record["scores"])), key=lambda i: (-record["scores"][i], record["boxes"][i, 0]))
        record.update({name: value[order] for name, value in record.items()})
    torch.testing.assert_close(found["scores"], expected["scores"])
    torch.testing.assert_close(found["boxes"], expected["boxes"], atol=1e-2, rtol=1e-4)
    assert torch.equal(found["labels"], expected["labels"])
    half = decode(outputs, [(150, 600)], rules)[0]
    assert half["boxes"][:, 2].max() > 300
    assert half["boxes"][:, 3].max() <= 150


def test_another_number_of_maps_than_of_ratios_is_an_error_that_says_both() -> None:
    for changes, words in (
        ({"aspect_ratios": [[2.0]]}, r"aspect_ratios = .* has 1 entries, and must have 6: .* has 6 maps"),
        ({"scales": [0.1] * 6}, r"scales = .* has 6 entries, and must have 7"),
    ):
        with torch.device("meta"), pytest.raises(ssd300.InputError, match=words):
            build(4, VGG.model_copy(update=changes))


def test_scales_may_be_given() -> None:
    small = VGG.model_copy(update={"backbone": "plain", "width": 0.25, "extra_channels": [8] * 3})
    formula = [0.07, 0.15, 0.33, 0.51, 0.69, 0.87, 1.05]
    given = build(4, small.model_copy(update={"scales": formula}))
    torch.testing.assert_close(given.default_boxes, build(4, small).default_boxes)
    larger = build(4, small.model_copy(update={"scales": [2 * one for one in formula]}))
    assert larger.default_boxes[0].diff()[1] > 1.9 * given.default_boxes[0].diff()[1]
