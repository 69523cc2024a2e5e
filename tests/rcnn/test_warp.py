import cv2
import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torchvision.models import AlexNet_Weights
from torchvision.ops import roi_align

from src.rcnn.warp import normalize, warp


def picture(height: int = 50, width: int = 70) -> torch.Tensor:
    return torch.randn(3, height, width, generator=torch.Generator().manual_seed(0))


def remapped(image: torch.Tensor, box: list[float], size: int, context: int) -> np.ndarray:
    """Make the crop with OpenCV. The centre of its pixel (0, 0) is at 0, that of ours at 0.5."""
    x1, y1, x2, y2 = box
    at = (np.arange(size) + 0.5 - context) / (size - 2 * context)  # 0..1 within the box
    x, y = np.meshgrid(x1 + (x2 - x1) * at - 0.5, y1 + (y2 - y1) * at - 0.5)
    planes = [
        cv2.remap(plane, x.astype(np.float32), y.astype(np.float32), cv2.INTER_LINEAR, borderMode=cv2.BORDER_CONSTANT)
        for plane in image.numpy()
    ]
    return np.stack(planes)


@pytest.mark.parametrize("context", [0, 5])
def test_crops_inside_agree_with_torchvisions_roi_align(context: int) -> None:
    image, boxes = picture(), torch.tensor([[20.0, 15, 40, 35], [22.5, 18.25, 37.75, 22], [25, 12, 30, 38]])
    size = 32
    inner = (boxes[:, 2:] - boxes[:, :2]) * context / (size - 2 * context)
    padded = torch.cat([boxes[:, :2] - inner, boxes[:, 2:] + inner], dim=1)
    oracle = roi_align(image[None], [padded], size, sampling_ratio=1, aligned=True)
    torch.testing.assert_close(warp(image, boxes, size=size, context=context), oracle, atol=1e-4, rtol=1e-4)


@given(
    x1=st.floats(-30, 60),
    y1=st.floats(-30, 40),
    w=st.floats(1, 90),
    h=st.floats(1, 90),
    context=st.sampled_from([0, 4]),
)
def test_crops_anywhere_agree_with_opencvs_remap(x1: float, y1: float, w: float, h: float, context: int) -> None:
    box = [x1, y1, x1 + w, y1 + h]
    crop = warp(picture(), torch.tensor([box]), size=20, context=context)[0].numpy()
    # OpenCV rounds coordinates to 1/32 of a pixel.
    np.testing.assert_allclose(crop, remapped(picture(), box, 20, context), atol=0.3)
    assert np.abs(crop - remapped(picture(), box, 20, context)).mean() < 0.05


def test_a_box_of_the_crops_own_size_is_copied() -> None:
    image = picture()
    crop = warp(image, torch.tensor([[10.0, 5, 30, 25]]), size=20)
    torch.testing.assert_close(crop[0], image[:, 5:25, 10:30], atol=1e-4, rtol=0)


def test_each_side_is_stretched_by_itself() -> None:
    image = picture()
    crop = warp(image, torch.tensor([[10.0, 5, 20, 45]]), size=20)[0]  # twice as wide, half as high
    np.testing.assert_allclose(crop.numpy(), remapped(image, [10, 5, 20, 45], 20, 0), atol=0.2)
    torch.testing.assert_close(crop[:, 0].mean(), image[:, 5:7, 10:20].mean(), atol=0.1, rtol=0)


@pytest.mark.parametrize("context", [1, 7, 16])
def test_within_the_context_lies_what_a_warp_without_context_gives(context: int) -> None:
    image, boxes = picture(), torch.tensor([[20.0, 15, 40, 35], [0, 0, 70, 50]])
    whole = warp(image, boxes, size=63, context=context)
    inner = whole[:, :, context:-context, context:-context]
    torch.testing.assert_close(inner, warp(image, boxes, size=63 - 2 * context), atol=1e-4, rtol=0)
    assert whole[0, :, :context].abs().min() > 0  # around an interior box is the image, not the mean colour


def test_beyond_the_border_lies_the_mean_colour() -> None:
    image = torch.ones(3, 50, 70)
    crop = warp(image, torch.tensor([[-20.0, 0, 20, 50]]), size=40)[0]
    assert (crop[:, :, :19] == 0).all()
    torch.testing.assert_close(crop[:, 1:-1, 21:], torch.ones(3, 38, 19))
    corner = warp(image, torch.tensor([[0.0, 0, 70, 50]]), size=40, context=8)[0]
    assert (corner[:, :7] == 0).all()
    assert (corner[:, :, -7:] == 0).all()
    assert warp(image, torch.tensor([[200.0, 200, 210, 210]]), size=8).abs().max() == 0


def test_a_flip_is_the_mirror_image_of_the_crop_and_of_no_other() -> None:
    image, boxes = picture(), torch.tensor([[20.0, 15, 40, 35], [-5, 3, 12, 60], [22, 18, 37, 22]])
    upright = warp(image, boxes, size=21, context=3)
    some = warp(image, boxes, size=21, context=3, flipped=torch.tensor([True, False, True]))
    torch.testing.assert_close(some[[0, 2]], upright[[0, 2]].flip(3), atol=1e-4, rtol=0)
    torch.testing.assert_close(some[1], upright[1])
    assert not torch.allclose(some[0], upright[0], atol=0.1)


def test_no_box_is_no_crop() -> None:
    assert warp(picture(), torch.zeros(0, 4), size=21).shape == (0, 3, 21, 21)
    assert warp(picture(), torch.zeros(0, 4), size=21, flipped=torch.zeros(0, dtype=torch.bool)).shape[0] == 0


def test_one_box_gives_the_same_crop_alone_and_among_others() -> None:
    boxes = torch.tensor([[20.0, 15, 40, 35], [-5, 3, 12, 60], [22, 18, 37, 22]])
    together = warp(picture(), boxes, size=21, context=3)
    for crop, box in zip(together, boxes, strict=True):
        torch.testing.assert_close(crop, warp(picture(), box[None], size=21, context=3)[0], rtol=0, atol=1e-6)


def test_normalisation_is_that_of_torchvisions_weights_not_one_half() -> None:
    image = torch.randint(0, 256, (3, 40, 40), dtype=torch.uint8, generator=torch.Generator().manual_seed(0))
    transform = AlexNet_Weights.IMAGENET1K_V1.transforms(crop_size=40, resize_size=40)
    torch.testing.assert_close(normalize(image), transform(image))
    one_half = (image / 255 - 0.5) / 0.5  # the published code's normalisation
    assert not torch.allclose(normalize(image), one_half, atol=0.1)


def test_red_stays_in_the_first_channel() -> None:
    red = torch.zeros(3, 4, 4, dtype=torch.uint8)
    red[0] = 255
    bgr_would_be = normalize(red.flip(0)).flip(0)
    assert normalize(red)[0, 0, 0].item() == pytest.approx((1 - 0.485) / 0.229)
    assert not torch.allclose(normalize(red), bgr_would_be)


def test_the_mean_colour_becomes_zero() -> None:
    mean = torch.tensor([123.675, 116.28, 103.53])[:, None, None].expand(3, 2, 2)
    torch.testing.assert_close(normalize(mean), torch.zeros(3, 2, 2), atol=1e-5, rtol=0)
