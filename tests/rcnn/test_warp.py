import cv2
import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch.nn.functional import grid_sample
from torchvision.models import AlexNet_Weights
from torchvision.ops import roi_align

from src.rcnn.warp import MEAN_COLOUR, normalize, warp

ROUNDING = 0.51  # of a byte, plus the error of single precision
UNCERTAIN = 1e-6  # pixels of the image: nearer to its border, the oracle's rounding may put a point on the other side


def picture(height: int = 50, width: int = 70, channels: int = 3) -> np.ndarray:
    noise = np.random.default_rng(0).integers(0, 256, (height, width, channels), np.uint8)
    return cv2.normalize(cv2.GaussianBlur(noise, (0, 0), 1.5), None, 0, 255, cv2.NORM_MINMAX)


def places(box: list[float], size: int, context: int) -> tuple[np.ndarray, np.ndarray]:
    """Return x and y [S] of the centres of a crop's pixels, in pixels from the image's corner."""
    at = (np.arange(size) + 0.5 - context) / (size - 2 * context)  # 0..1 within the box
    return box[0] + (box[2] - box[0]) * at, box[1] + (box[3] - box[1]) * at


def sampled(image: np.ndarray, box: list[float], size: int, context: int) -> tuple[np.ndarray, np.ndarray]:
    """Sample by PyTorch, in double precision: the crop [S, S, 3] with a repeated border, and bool [S, S] for inside."""
    (x, y), (height, width) = places(box, size, context), image.shape[:2]
    grid = np.stack(np.broadcast_arrays(2 * x[None] / width - 1, 2 * y[:, None] / height - 1), axis=-1)
    pixels = torch.from_numpy(image).permute(2, 0, 1)[None].double()
    found = grid_sample(pixels, torch.from_numpy(grid)[None], align_corners=False, padding_mode="border")
    within = ((y >= 0) & (y < height))[:, None] & ((x >= 0) & (x < width))[None]
    return found[0].permute(1, 2, 0).numpy(), within


def near_border(image: np.ndarray, box: list[float], size: int, context: int) -> np.ndarray:
    (x, y), (height, width) = places(box, size, context), image.shape[:2]
    columns = np.minimum(abs(x), abs(x - width)) < UNCERTAIN
    rows = np.minimum(abs(y), abs(y - height)) < UNCERTAIN
    return rows[:, None] | columns[None]


def assert_as_sampled(image: np.ndarray, box: list[float], size: int, context: int, tolerance: float) -> None:
    crop = warp(image, np.array([box], np.float32), size=size, context=context)[0]
    wanted, within = sampled(image, np.float32(box).astype(float).tolist(), size, context)
    sure = ~near_border(image, box, size, context)
    np.testing.assert_allclose(crop[within & sure], wanted[within & sure], atol=tolerance, rtol=0)
    assert (crop[~within & sure] == MEAN_COLOUR).all()


coordinate = st.floats(-100, 150, width=32)
side = st.floats(0.5, 200, width=32)


@given(x=coordinate, y=coordinate, w=side, h=side, context=st.sampled_from([0, 4]), size=st.sampled_from([20, 67]))
def test_crops_anywhere_agree_with_pytorchs_sampling(
    x: float, y: float, w: float, h: float, context: int, size: int
) -> None:
    assert_as_sampled(picture(), [x, y, x + w, y + h], size, context, tolerance=ROUNDING)


@pytest.mark.parametrize("context", [0, 5])
def test_crops_inside_agree_with_torchvisions_roi_align(context: int) -> None:
    image, boxes = picture(), torch.tensor([[20.0, 15, 40, 35], [22.5, 18.25, 37.75, 22], [25, 12, 30, 38]])
    size = 32
    inner = (boxes[:, 2:] - boxes[:, :2]) * context / (size - 2 * context)
    padded = torch.cat([boxes[:, :2] - inner, boxes[:, 2:] + inner], dim=1)
    pixels = torch.from_numpy(image).permute(2, 0, 1)[None].float()
    oracle = roi_align(pixels, [padded], size, sampling_ratio=1, aligned=True).permute(0, 2, 3, 1)
    np.testing.assert_allclose(warp(image, boxes.numpy(), size=size, context=context), oracle, atol=ROUNDING, rtol=0)


def test_a_box_of_the_crops_own_size_is_copied() -> None:
    image = picture()
    crop = warp(image, np.array([[10.0, 5, 30, 25]]), size=20)
    np.testing.assert_array_equal(crop[0], image[5:25, 10:30])


def test_each_side_is_stretched_by_itself() -> None:
    image = picture()
    box = [10.0, 5, 20, 45]  # becomes twice as wide and half as high
    assert_as_sampled(image, box, 20, 0, tolerance=ROUNDING)
    crop = warp(image, np.array([box]), size=20)[0]
    assert crop[0].mean() == pytest.approx(image[5:7, 10:20].mean(), abs=5)


@pytest.mark.parametrize("context", [1, 7, 16])
def test_within_the_context_lies_what_a_warp_without_context_gives(context: int) -> None:
    image, boxes = picture(), np.array([[20.0, 15, 40, 35], [0, 0, 70, 50]])
    whole = warp(image, boxes, size=63, context=context)
    inner = whole[:, context:-context, context:-context].astype(int)
    assert np.abs(inner - warp(image, boxes, size=63 - 2 * context)).max() <= 1
    assert (whole[0, :context] != MEAN_COLOUR).any(axis=-1).mean() > 0.9  # around an interior box is the image


def test_beyond_the_border_lies_the_mean_colour_and_the_image_reaches_the_border() -> None:
    image = np.full((50, 70, 3), 200, np.uint8)
    crop = warp(image, np.array([[-20.0, 0, 20, 50]]), size=40)[0]
    assert (crop[:, :20] == MEAN_COLOUR).all()
    assert (crop[:, 20:] == 200).all()  # no pixel fades
    corner = warp(image, np.array([[0.0, 0, 70, 50]]), size=40, context=8)[0]
    assert (corner[8:-8, 8:-8] == 200).all()
    corner[8:-8, 8:-8] = MEAN_COLOUR
    assert (corner == MEAN_COLOUR).all()
    assert MEAN_COLOUR == [124, 116, 104]


@pytest.mark.parametrize("box", [[0, 20, 10, 30], [60, 20, 70, 30], [30, 0, 40, 10], [30, 40, 40, 50]])
def test_a_small_box_at_an_edge_does_not_fade_into_the_mean_colour(box: list[float]) -> None:
    image = np.full((50, 70, 3), 255, np.uint8)
    crop = warp(image, np.array([box]), size=227)[0]
    assert (crop == 255).all()
    framed = warp(image, np.array([box]), size=227, context=16)[0]
    beyond = (framed == MEAN_COLOUR).all(-1)
    assert ((framed == 255).all(-1) | beyond).all()
    assert beyond.sum() == 16 * 227


@pytest.mark.parametrize("box", [[200, 200, 210, 210], [-9, 10, -1, 20], [70, 10, 80, 20], [10, 50, 20, 60]])
def test_a_box_beyond_the_image_has_the_mean_colour_alone(box: list[float]) -> None:
    assert (warp(picture(), np.array([box]), size=9) == MEAN_COLOUR).all()


def test_a_box_without_width_is_one_column() -> None:
    crop = warp(picture(), np.array([[20.0, 10, 20, 30]]), size=20)[0]
    assert (crop == crop[:, :1]).all()


@pytest.mark.parametrize("shape", [(40, 40_000), (40_000, 40)])
@pytest.mark.parametrize("share", [1.0, 0.3, 0.001])
def test_photos_of_any_size_are_warped_as_precisely(shape: tuple[int, int], share: float) -> None:
    """OpenCV's functions often end at 32,767 pixels, and its single precision loses fractions of a pixel far out."""
    height, width = shape
    image = np.tile(picture(1000 if height > width else 40, 1000 if width > height else 40), (1, 1, 1))
    image = np.tile(image, (height // len(image), width // image.shape[1], 1))
    box = [width * (1 - share), height * (1 - share), width, height]
    tolerance = 255 / 32 + ROUNDING if share > 0.1 else ROUNDING + 0.1  # of 1/32 of a pixel between black and white
    assert_as_sampled(image, box, 67, 0, tolerance=tolerance)


@pytest.mark.parametrize("shape", [(1, 1), (1, 9), (2, 3)])
def test_images_of_a_few_pixels_are_warped(shape: tuple[int, int]) -> None:
    assert_as_sampled(picture(*shape), [-1.0, -1.0, shape[1] + 0.4, shape[0] + 0.4], 20, 4, tolerance=ROUNDING)


def test_a_flip_is_the_mirror_image_of_the_crop_and_of_no_other() -> None:
    image, boxes = picture(), np.array([[20.0, 15, 40, 35], [-5, 3, 12, 60], [22, 18, 37, 22]])
    upright = warp(image, boxes, size=21, context=3)
    some = warp(image, boxes, size=21, context=3, flipped=np.array([True, False, True]))
    np.testing.assert_array_equal(some[[0, 2]], upright[[0, 2], :, ::-1])
    np.testing.assert_array_equal(some[1], upright[1])
    assert (some[0] != upright[0]).any()


def test_no_box_is_no_crop() -> None:
    none = np.zeros((0, 4), np.float32)
    assert warp(picture(), none, size=21).shape == (0, 21, 21, 3)
    crops = warp(picture(), none, size=21, flipped=np.zeros(0, bool))
    assert normalize(torch.from_numpy(crops)).shape == (0, 3, 21, 21)


def test_one_box_gives_the_same_crop_alone_and_among_others_and_leaves_the_image() -> None:
    boxes = np.array([[20.0, 15, 40, 35], [-5, 3, 12, 60], [22, 18, 37, 22]])
    image = picture()
    together = warp(image, boxes, size=21, context=3)
    for crop, box in zip(together, boxes, strict=True):
        np.testing.assert_array_equal(crop, warp(image, box[None], size=21, context=3)[0])
    np.testing.assert_array_equal(image, picture())


def test_normalisation_is_that_of_torchvisions_weights_not_one_half() -> None:
    crops = torch.randint(0, 256, (2, 40, 40, 3), dtype=torch.uint8, generator=torch.Generator().manual_seed(0))
    transform = AlexNet_Weights.IMAGENET1K_V1.transforms(crop_size=40, resize_size=40)
    found = normalize(crops)
    torch.testing.assert_close(found, transform(crops.permute(0, 3, 1, 2)), atol=1e-5, rtol=1e-5)
    assert found.is_contiguous(memory_format=torch.channels_last)
    one_half = (crops.permute(0, 3, 1, 2) / 255 - 0.5) / 0.5  # the published code's normalisation
    assert not torch.allclose(found, one_half, atol=0.1)


def test_red_stays_in_the_first_channel() -> None:
    red = torch.zeros(1, 4, 4, 3, dtype=torch.uint8)
    red[..., 0] = 255
    bgr_would_be = normalize(red.flip(3)).flip(1)
    assert normalize(red)[0, 0, 0, 0].item() == pytest.approx((1 - 0.485) / 0.229)
    assert not torch.allclose(normalize(red), bgr_would_be)


def test_the_mean_colour_becomes_zero_but_for_its_rounding() -> None:
    mean = torch.tensor(MEAN_COLOUR, dtype=torch.uint8).expand(1, 2, 2, 3)
    torch.testing.assert_close(normalize(mean), torch.zeros(1, 3, 2, 2), atol=0.5 / (255 * 0.224), rtol=0)


def test_crops_are_normalised_on_their_device_without_a_copy_to_it_per_batch(monkeypatch: pytest.MonkeyPatch) -> None:
    normalize(torch.zeros(1, 5, 5, 3, dtype=torch.uint8, device="meta"))
    monkeypatch.setattr(torch, "tensor", lambda *_, **__: pytest.fail("a tensor was made on the CPU"))
    assert normalize(torch.zeros(2, 5, 5, 3, dtype=torch.uint8, device="meta")).device.type == "meta"


def test_normalising_in_the_inference_mode_leaves_nothing_that_a_training_cannot_use() -> None:
    with torch.inference_mode():
        normalize(torch.zeros(1, 6, 6, 3, dtype=torch.uint8))
    crops = normalize(torch.zeros(1, 6, 6, 3, dtype=torch.uint8))
    assert not crops.is_inference()
    torch.nn.Conv2d(3, 1, 3)(crops).sum().backward()
