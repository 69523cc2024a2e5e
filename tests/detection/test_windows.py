import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor
from torchvision import tv_tensors
from torchvision.ops import box_iou
from torchvision.transforms import v2

from src.detection import windows
from src.detection.windows import Window, crop, inside, render, zoom_out

WHOLE = Window(0, 0, 160, 120)
BOXES = torch.tensor([[10.0, 20, 60, 80], [70, 10, 150, 50], [90, 60, 130, 110]])
FILL = (1, 2, 3)


def sides(window: Window) -> tuple[int, int]:
    return window.x2 - window.x1, window.y2 - window.y1


@settings(max_examples=150)
@given(seed=st.integers(0, 10_000), objects=st.integers(0, 3), overlap=st.sampled_from([0.1, 0.5, 0.9]))
def test_a_crop_obeys_the_rule_or_is_the_whole(seed: int, objects: int, overlap: float) -> None:
    """In the published code the condition on the overlap never takes effect (ssd.pytorch#68)."""
    torch.manual_seed(seed)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(windows, "OVERLAPS", (overlap,))
        found = crop(WHOLE, BOXES[:objects])
    if found == WHOLE:
        return
    assert objects
    assert 0 <= found.x1 < found.x2 <= 160
    assert 0 <= found.y1 < found.y2 <= 120
    width, height = sides(found)
    assert 0.5 <= width / height <= 2
    assert width >= int(0.3 * 160)
    assert height >= int(0.3 * 120)
    kept = BOXES[:objects][inside(found, BOXES[:objects])]
    assert box_iou(torch.tensor([found], dtype=torch.float32), kept).max() >= overlap


@settings(max_examples=20)
@given(seed=st.integers(0, 10_000))
def test_a_crop_of_a_zoomed_window_stays_in_it_and_sees_an_object(seed: int) -> None:
    torch.manual_seed(seed)
    window = zoom_out(120, 160)
    assert window.x1 <= 0 <= 160 <= window.x2 <= 640
    assert window.y1 <= 0 <= 120 <= window.y2 <= 480
    found = crop(window, BOXES)
    assert window.x1 <= found.x1 < found.x2 <= window.x2
    assert window.y1 <= found.y1 < found.y2 <= window.y2
    assert inside(found, BOXES).any()


def test_crops_are_distributed_as_torchvisions() -> None:
    torch.manual_seed(0)
    theirs = v2.RandomIoUCrop()
    image, boxes = torch.zeros(3, 120, 160), tv_tensors.BoundingBoxes(BOXES, format="XYXY", canvas_size=(120, 160))

    def reference() -> Window:
        found = theirs.make_params([tv_tensors.Image(image), boxes])
        if not found:
            return WHOLE
        left, top = found["left"], found["top"]
        return Window(left, top, left + found["width"], top + found["height"])

    def figures(window: Window) -> list[float]:
        width, height = sides(window)
        kept = int(inside(window, BOXES).sum())
        return [float(window == WHOLE), width / 160, height / 120, window.x1 / 160, window.y1 / 120, kept]

    ours = np.array([figures(crop(WHOLE, BOXES)) for _ in range(1500)])
    others = np.array([figures(reference()) for _ in range(1500)])
    error = np.sqrt((ours.var(axis=0) + others.var(axis=0)) / 1500)
    assert (np.abs(ours.mean(axis=0) - others.mean(axis=0)) < 4 * error).all()
    assert (np.abs(ours.std(axis=0) - others.std(axis=0)) < 4 * error).all()


def photo() -> Tensor:
    """Make a photo whose red grows from left to right, and its green from top to bottom."""
    image = torch.full((3, 120, 160), 50, dtype=torch.uint8)
    image[0] += torch.arange(160, dtype=torch.uint8)
    image[1] += torch.arange(120, dtype=torch.uint8)[:, None]
    return image


@pytest.mark.parametrize(
    "window", [WHOLE, Window(-100, -30, 300, 260), Window(40, 30, 100, 90), Window(-50, 20, 60, 90)]
)
def test_the_input_is_that_of_a_painted_canvas(window: Window) -> None:
    """The canvas is painted at full size, cropped and resized, as in the published code."""
    canvas = torch.tensor(FILL, dtype=torch.uint8)[:, None, None].repeat(1, 480, 640)
    canvas[:, 200:320, 200:360] = photo()
    seen = canvas[:, 200 + window.y1 : 200 + window.y2, 200 + window.x1 : 200 + window.x2]
    expected = v2.functional.resize(seen, [100, 100], antialias=True).int()
    found, scale, shift = render(photo(), window, (100, 100), FILL)
    assert found.shape == (3, 100, 100)
    assert ((found.int() - expected).abs() > 6).float().mean() < 0.06  # only at the photo's edges
    corner = torch.tensor([window.x1, window.y1] * 2)
    exact = (BOXES - corner) * 100 / torch.tensor([*sides(window)] * 2)
    torch.testing.assert_close(BOXES * scale + shift, exact, atol=1.5, rtol=0)


def test_an_input_need_not_be_a_square() -> None:
    found, scale, _ = render(photo(), Window(-160, 0, 160, 120), (60, 80), FILL)
    assert found.shape == (3, 60, 80)
    assert scale.tolist() == [0.25, 0.5, 0.25, 0.5]
    assert (found[2, :, :40] == FILL[2]).all()
    assert (found[2, :, 40:] == 50).all()


def test_a_whole_photo_is_resized_and_nothing_else() -> None:
    found, scale, shift = render(photo(), WHOLE, (100, 100), FILL)
    assert torch.equal(found, v2.functional.resize(photo(), [100, 100], antialias=True))
    assert scale.tolist() == pytest.approx([100 / 160, 100 / 120] * 2)
    assert shift.tolist() == [0] * 4


def test_only_what_is_seen_of_the_photo_is_changed() -> None:
    found, _, _ = render(photo(), Window(-160, -120, 160, 120), (100, 100), FILL, np.zeros_like)
    assert (found[:, 50:, 50:] == 0).all()
    assert torch.equal(found[:, :50, :50], torch.tensor(FILL, dtype=torch.uint8)[:, None, None].expand(3, 50, 50))


def test_a_photo_at_the_edge_of_a_small_input_has_a_pixel_at_least() -> None:
    found, scale, _ = render(photo(), Window(-5000, 0, 160, 120), (10, 10), FILL)
    assert found.shape == (3, 10, 10)
    assert (scale > 0).all()
