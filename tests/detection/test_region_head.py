import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torchvision.models.detection.faster_rcnn import FastRCNNPredictor, TwoMLPHead
from torchvision.ops import MultiScaleRoIAlign, RoIPool, roi_align

from src.detection.region_head import SAMPLES, Head, RegionHead, aligned, pooled

HEAD = Head(pool="align", pool_size=3, hidden=8, dropout=0.0, deltas_std=[0.1, 0.1, 0.2, 0.2])


def regions(seed: int, count: int, images: int, side: int) -> tuple[torch.Tensor, torch.Tensor]:
    generator = torch.Generator().manual_seed(seed)
    corner = torch.rand(count, 2, generator=generator) * side * 0.6
    boxes = torch.cat([corner, corner + 17 + torch.rand(count, 2, generator=generator) * side * 0.3], dim=1)
    return torch.randint(0, images, (count,), generator=generator), boxes


def test_roialign_by_hand() -> None:
    """On a map whose value is linear in x and y, the mean of the points of a part is the value at its centre."""
    y, x = torch.meshgrid(torch.arange(8) + 0.5, torch.arange(8) + 0.5, indexing="ij")
    ramp = torch.stack([x, y])[None] * 16  # the value of a cell is the place of its centre in pixels
    box = torch.tensor([[20.0, 36.0, 60.0, 100.0]])
    found = pooled(ramp, torch.zeros(1, dtype=torch.int64), box, 16, "align", 2)
    torch.testing.assert_close(found[0, 0], torch.tensor([[30.0, 50.0]] * 2))  # quarters of the width
    torch.testing.assert_close(found[0, 1], torch.tensor([[52.0] * 2, [84.0] * 2]))


def test_roi_max_pooling_by_hand() -> None:
    cells = torch.arange(36.0).reshape(1, 1, 6, 6)
    box = torch.tensor([[16.0, 16.0, 63.0, 63.0]])  # cells 1 to 4 of both axes, the last one included, as in the paper
    found = pooled(cells, torch.zeros(1, dtype=torch.int64), box, 16, "max", 2)
    assert found[0, 0].tolist() == [[14.0, 16.0], [26.0, 28.0]]


@given(seed=st.integers(0, 200))
def test_both_kinds_of_pooling_are_torchvisions(seed: int) -> None:
    features = torch.randn(2, 3, 8, 8, generator=torch.Generator().manual_seed(seed))
    images, boxes = regions(seed, 7, 2, 128)
    of_each = [boxes[images == image] for image in range(2)]
    order = torch.cat([(images == image).nonzero().flatten() for image in range(2)])
    found = pooled(features, images[order], boxes[order], 16, "max", 3)
    torch.testing.assert_close(found, RoIPool(3, 1 / 16)(features, of_each))
    # torchvision's detectors do not shift by half a cell, and widen regions of less than a cell; ours are moved by it
    theirs = MultiScaleRoIAlign(["0"], 3, sampling_ratio=2)
    moved = [own - 8 for own in of_each]
    expected = theirs({"0": features}, moved, [(128, 128)] * 2)
    torch.testing.assert_close(pooled(features, images[order], boxes[order], 16, "align", 3), expected)


@given(seed=st.integers(0, 200), wide=st.booleans())
def test_roialign_by_products_has_torchvisions_values_and_gradient(seed: int, wide: bool) -> None:
    """Also of regions of less than a cell, and of points outside the map."""
    torch.manual_seed(seed)
    size = (5, 9) if wide else (8, 8)
    maps = [torch.randn(3, 2, *size).requires_grad_()]
    maps.append(maps[0].detach().clone().requires_grad_())
    images, corner = torch.randint(0, 3, (7,)), torch.rand(7, 2) * 180 - 30
    boxes = torch.cat([corner, corner + torch.rand(7, 1) ** 2 * torch.rand(7, 2) * 100], dim=1)
    ours = aligned(maps[0], images, boxes, 16.0, 3)
    regions = torch.cat([images[:, None], boxes], dim=1)
    theirs = roi_align(maps[1], regions, (3, 3), 1 / 16, SAMPLES, aligned=True)
    torch.testing.assert_close(ours, theirs, atol=1e-4, rtol=1e-4)
    factors = torch.randn_like(ours)
    (ours * factors).sum().backward()
    (theirs * factors).sum().backward()
    torch.testing.assert_close(maps[0].grad, maps[1].grad, atol=1e-4, rtol=1e-4)


def test_the_layers_are_torchvisions_from_the_same_weights() -> None:
    """torchvision also predicts deltas of the background, and its regions lie half a cell further."""
    torch.manual_seed(0)
    ours, first, second = RegionHead(3, 4, HEAD), TwoMLPHead(3 * 9, 8), FastRCNNPredictor(8, 4)
    first.fc6.load_state_dict(ours.layers[1].state_dict())
    first.fc7.load_state_dict(ours.layers[4].state_dict())
    second.cls_score.load_state_dict(ours.classify.state_dict())
    with torch.no_grad():
        second.bbox_pred.weight[4:] = ours.regress.weight
        second.bbox_pred.bias[4:] = ours.regress.bias
    features = torch.randn(2, 3, 8, 8)
    boxes = regions(0, 6, 2, 128)[1]
    theirs = MultiScaleRoIAlign(["0"], 3, sampling_ratio=2)(
        {"0": features}, [boxes[:4] - 8, boxes[4:] - 8], [(128,) * 2] * 2
    )
    scores, deltas = second(first(theirs))
    found = ours(features, torch.tensor([0, 0, 0, 0, 1, 1]), boxes, 16.0)
    torch.testing.assert_close(found[0], scores)
    torch.testing.assert_close(found[1], deltas[:, 4:].unflatten(1, (3, 4)))


@pytest.mark.parametrize("pool", ["align", "max"])
def test_no_region_gives_no_output_and_a_gradient_reaches_the_map(pool: str) -> None:
    torch.manual_seed(0)
    head = RegionHead(3, 4, HEAD.model_copy(update={"pool": pool}))
    features = torch.randn(2, 3, 8, 8, requires_grad=True)
    logits, deltas = head(features, torch.zeros(0, dtype=torch.int64), torch.zeros(0, 4), 16.0)
    assert logits.shape == (0, 4)
    assert deltas.shape == (0, 3, 4)
    logits, deltas = head(features, *regions(0, 5, 2, 128), 16.0)
    assert logits.shape == (5, 4)
    assert deltas.shape == (5, 3, 4)
    logits.sum().backward()
    assert features.grad is not None
    assert features.grad.any()
