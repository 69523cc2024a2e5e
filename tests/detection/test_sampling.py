from unittest import mock

import torch
from hypothesis import given
from hypothesis import strategies as st
from torchvision.models.detection._utils import BalancedPositiveNegativeSampler

from src.boxes.matching import BACKGROUND, IGNORED, OBJECT
from src.detection.sampling import sample
from tests.elsewhere import There, back, elsewhere


@given(objects=st.integers(0, 300), backgrounds=st.integers(0, 600), seed=st.integers(0, 100))
def test_a_sample_has_256_up_to_half_of_them_objects(objects: int, backgrounds: int, seed: int) -> None:
    torch.manual_seed(seed)
    labels = torch.cat([torch.ones(objects), torch.zeros(backgrounds), -torch.ones(50)]).long()
    labels = torch.stack([labels[torch.randperm(len(labels))], torch.full_like(labels, IGNORED)])
    kept, nothing = sample(labels, 256, 0.5)
    assert ((kept == labels[0]) | (kept == IGNORED)).all()
    assert (kept == 1).sum() == min(objects, 128)
    assert (kept == 0).sum() == min(backgrounds, 256 - min(objects, 128))
    assert (nothing == IGNORED).all()


def test_every_label_has_the_same_chance_and_images_differ() -> None:
    torch.manual_seed(0)
    labels = torch.tensor([[1, 0, 1, 0, 1, 0, 1, 0, -1, 1]]).expand(4000, -1)
    kept = sample(labels, 4, 0.5)
    shares = (kept != IGNORED).float().mean(dim=0)
    torch.testing.assert_close(
        shares, torch.tensor([0.4, 0.5, 0.4, 0.5, 0.4, 0.5, 0.4, 0.5, 0, 0.4]), atol=0.03, rtol=0
    )


def test_the_choice_is_of_the_seed_of_the_cpu_alone() -> None:
    labels = torch.zeros(2, 50, dtype=torch.int64)
    torch.manual_seed(3)
    first = sample(labels, 5, 0.5)
    torch.manual_seed(3)
    assert torch.equal(sample(labels, 5, 0.5), first)
    assert not torch.equal(sample(labels, 5, 0.5), first)


def test_the_choice_on_another_device_is_that_of_the_cpu() -> None:
    """The random numbers come from the generator of the CPU, so a GPU chooses the same anchors."""
    labels = torch.tensor([[OBJECT, BACKGROUND, IGNORED] * 20, [BACKGROUND] * 60])
    torch.manual_seed(3)
    wanted = sample(labels, 8, 0.5)
    torch.manual_seed(3)
    with elsewhere():
        assert torch.equal(back(sample(There(labels), 8, 0.5)), wanted)


@given(seed=st.integers(0, 100), fraction=st.sampled_from([0.25, 0.5, 1.0]))
def test_the_choice_is_torchvisions_from_the_same_permutation(seed: int, fraction: float) -> None:
    """torchvision takes the first of a permutation, and we take those with the largest random numbers."""
    torch.manual_seed(seed)
    labels = torch.randint(-1, 2, (3, 40))
    torch.manual_seed(seed)
    kept = sample(labels, 16, fraction)
    torch.manual_seed(seed)
    keys = torch.rand(labels.shape)
    orders = iter(
        [keys[image, labels[image] == value].argsort(descending=True) for image in range(3) for value in (1, 0)]
    )
    with mock.patch("torch.randperm", side_effect=lambda *_, **__: next(orders)):
        objects, background = BalancedPositiveNegativeSampler(16, fraction)(list(labels))
    assert torch.equal(kept == OBJECT, torch.stack(objects).bool())
    assert torch.equal(kept == BACKGROUND, torch.stack(background).bool())
