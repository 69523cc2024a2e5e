import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torchvision.transforms import v2

from src.detection.augmentation import Augment, apply, fixed_steps, pair, plain_tensors, random_steps, transform
from src.detection.sizes import Size
from src.networks.imagenet import MEAN, STD, normalise

ALL = Augment(photometric=False, zoom_out=1.0, crop=True, flip=0.5)


def scene() -> tuple[np.ndarray, dict[str, np.ndarray]]:
    """Make an image of a red, a green and a blue rectangle on black, with their boxes."""
    image = np.zeros((120, 160, 3), np.uint8)
    boxes = np.array([[10, 20, 60, 80], [70, 10, 150, 50], [90, 60, 130, 110]], np.float32)
    for colour, (x1, y1, x2, y2) in enumerate(boxes.astype(int)):
        image[y1:y2, x1:x2, colour] = 255
    return image, {"boxes": boxes, "labels": np.array([1, 2, 3])}


def trained(size: int, augment: Augment | None) -> v2.Transform:
    """Return all steps for a training image."""
    return v2.Compose([fixed_steps(Size(size), augment), random_steps(Size(size), augment), normalise()])


def colours(image: torch.Tensor) -> torch.Tensor:
    return image * torch.tensor(STD)[:, None, None] + torch.tensor(MEAN)[:, None, None]


@settings(max_examples=60)
@given(seed=st.integers(0, 10_000))
def test_boxes_and_image_stay_in_step(seed: int) -> None:
    """Each box contains its own colour."""
    torch.manual_seed(seed)
    image, target = apply(trained(100, ALL), *scene())
    assert image.shape == (3, 100, 100)
    seen = colours(image) > 0.8
    for box, label in zip(target["boxes"], target["labels"], strict=True):
        x1, y1, x2, y2 = (box.round() + torch.tensor([1, 1, -1, -1])).int().tolist()
        if x2 > x1 and y2 > y1:
            assert seen[label - 1, y1:y2, x1:x2].float().mean() > 0.9
    assert ((target["labels"] >= 1) & (target["labels"] <= 3)).all()
    assert (target["boxes"] >= 0).all()
    assert (target["boxes"] <= 100).all()


def test_colours_change_on_the_photo_and_not_around_it() -> None:
    """torchvision's steps, in their usual order, would distort the fill with the photo."""
    torch.manual_seed(0)
    augment = Augment(photometric=True, zoom_out=1.0, crop=False, flip=0.5)
    fill = torch.tensor([round(255 * value) for value in MEAN])
    steps = random_steps(Size(100), augment)
    red = []
    for _ in range(20):
        image, target = plain_tensors(steps(*pair(*scene())))
        seen = (image != fill[:, None, None]).any(dim=0)
        assert seen.float().mean() < 1
        rows, columns = seen.nonzero().T
        assert seen[rows.min() : rows.max() + 1, columns.min() : columns.max() + 1].float().mean() > 0.99
        x1, y1, x2, y2 = target["boxes"][target["labels"] == 1][0].round().int().tolist()
        red.append(image[0, (y1 + y2) // 2, (x1 + x2) // 2].item())
    assert len(set(red)) > 5


@pytest.mark.parametrize("augment", [ALL, ALL.model_copy(update={"zoom_out": 0.0, "crop": False, "photometric": True})])
def test_the_generators_state_alone_determines_the_result(augment: Augment) -> None:
    results = []
    for seed in (3, 3, 4):
        torch.manual_seed(seed)
        results.append(apply(random_steps(Size(64), augment), *scene())[0])
    assert torch.equal(results[0], results[1])
    assert results[0].shape != results[2].shape or not torch.equal(results[0], results[2])


@pytest.mark.parametrize("augment", [None, ALL, ALL.model_copy(update={"photometric": True})])
def test_an_image_without_objects_goes_through(augment: Augment | None) -> None:
    none = {"boxes": np.zeros((0, 4), np.float32), "labels": np.zeros(0, np.int64)}
    image, target = apply(trained(64, augment), np.zeros((50, 70, 3), np.uint8), none)
    assert image.shape == (3, 64, 64)
    assert target["boxes"].shape == (0, 4)
    assert target["labels"].shape == (0,)


def test_without_augmentation_the_image_is_resized_and_nothing_else() -> None:
    image, target = apply(transform(Size(100)), *scene())
    expected = scene()[1]["boxes"] * np.array([100 / 160, 100 / 120] * 2, np.float32)
    np.testing.assert_allclose(target["boxes"], expected, rtol=1e-5)
    assert target["boxes"].dtype == torch.float32
    assert type(image) is torch.Tensor
    again, _ = apply(transform(Size(100)), *scene())
    assert torch.equal(image, again)
