import pytest
import torch
from pydantic import ValidationError
from torchvision.transforms import v2

from src.classification.inputs import fixed_steps, mix, random_steps
from src.classification.params import Augment, Input
from src.networks.imagenet import MEAN, STD, normalise
from tests.labelled import INPUT, PLAIN

WIDE = Input(size=[20, 60], mean=None, std=None)


def image(height: int = 30, width: int = 50) -> torch.Tensor:
    return torch.randint(0, 256, (3, height, width), dtype=torch.uint8, generator=torch.Generator().manual_seed(0))


def augment(**changes: float) -> Augment:
    return PLAIN.model_copy(update=changes)


@pytest.mark.parametrize("found", [None, PLAIN, augment(crop=0.5), augment(rotate=20.0)])
def test_the_size_is_height_and_width_in_that_order(found: Augment | None) -> None:
    """The tutorial passes [h, w] to OpenCV, which expects (w, h)."""
    assert random_steps(WIDE, found)(fixed_steps(WIDE, found)(image())).shape == (3, 20, 60)


def test_images_that_are_not_trained_on_are_resized_and_nothing_is_drawn() -> None:
    seen = image()
    assert torch.equal(fixed_steps(WIDE, None)(seen), v2.functional.resize(seen, [20, 60], antialias=True))
    assert torch.equal(random_steps(WIDE, None)(seen), seen)


@pytest.mark.parametrize(
    "changes",
    [
        *({"crop": 0.5}, {"rotate": 20.0}, {"shift": 0.2}, {"zoom": 0.3}, {"shear": 20.0}),
        *({"photometric": 1.0}, {"flip": 0.5}),
    ],
)
def test_each_key_alone_changes_images_at_random(changes: dict[str, float]) -> None:
    found = augment(**changes)
    torch.manual_seed(0)
    seen = [random_steps(INPUT, found)(fixed_steps(INPUT, found)(image())) for _ in range(12)]
    assert len({one.numpy().tobytes() for one in seen}) > 1
    assert all(one.dtype == torch.uint8 for one in seen)


def test_without_any_key_nothing_is_drawn() -> None:
    assert torch.equal(random_steps(INPUT, PLAIN)(image()), image())


def test_normalisation_is_imagenets_or_the_one_given() -> None:
    grey = torch.full((2, 3, 4, 4), 51, dtype=torch.uint8)
    expected = (0.2 - torch.tensor(MEAN)) / torch.tensor(STD)
    torch.testing.assert_close(normalise(INPUT.mean, INPUT.std)(grey)[1, :, 2, 3], expected)
    given = Input(size=[4, 4], mean=[0.2, 0.1, 0.0], std=[1.0, 0.1, 0.5])
    torch.testing.assert_close(normalise(given.mean, given.std)(grey)[0, :, 0, 0], torch.tensor([0.0, 1.0, 0.4]))


@pytest.mark.parametrize("wrong", [{"size": [32]}, {"size": [32, 0]}, {"mean": [0.5, 0.5, 0.5]}, {"std": [1.0]}])
def test_a_wrong_input_is_refused(wrong: dict) -> None:
    with pytest.raises(ValidationError):
        Input.model_validate({"size": [32, 32], "mean": None, "std": None, **wrong})


@pytest.mark.parametrize("changes", [{"mixup": 0.4}, {"cutmix": 1.0}, {"mixup": 0.4, "cutmix": 1.0}])
def test_mixed_labels_are_shares_that_follow_the_images(changes: dict[str, float]) -> None:
    """Each class has a single colour, so the mean of an image shows its mixture."""
    mixing = mix(augment(**changes), 2)
    torch.manual_seed(0)
    images = torch.stack([torch.zeros(3, 16, 16), torch.ones(3, 16, 16)] * 3)
    labels = torch.tensor([0, 1] * 3)
    for _ in range(10):
        seen, shares = mixing(images, labels)
        torch.testing.assert_close(shares.sum(1), torch.ones(6))
        torch.testing.assert_close(seen.mean((1, 2, 3)), shares[:, 1], atol=1e-5, rtol=0)


def test_without_mixup_and_cutmix_there_is_nothing_to_mix() -> None:
    assert mix(PLAIN, 3) is None
    assert mix(None, 3) is None
