import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from sklearn.utils.class_weight import compute_class_weight
from torch.nn.functional import cross_entropy
from torchvision.ops import sigmoid_focal_loss

from src.classification.loss import class_weights, loss
from src.errors import InputError
from tests.labelled import LOSS
from tests.training.pair import both

LABELS = torch.tensor([0, 2, 1, 2, 2, 0])
WEIGHTS = torch.tensor([0.5, 2.0, 1.5])
NAMES = ["cat", "dog", "bird"]


def logits(rows: int = 6, columns: int = 3) -> torch.Tensor:
    return torch.randn(rows, columns, generator=torch.Generator().manual_seed(0)) * 3


@pytest.mark.parametrize("smoothing", [0.0, 0.1])
@pytest.mark.parametrize("weights", [None, WEIGHTS])
@pytest.mark.parametrize("shares", [False, True])
@pytest.mark.parametrize("gamma", [0.0, 1e-7])  # the second value uses our own formula
def test_without_a_focus_it_is_torchs_cross_entropy(
    smoothing: float, weights: torch.Tensor | None, shares: bool, gamma: float
) -> None:
    labels = torch.eye(3)[LABELS] * 0.7 + torch.eye(3)[LABELS.flip(0)] * 0.3 if shares else LABELS
    rules = LOSS.model_copy(update={"label_smoothing": smoothing, "focal_gamma": gamma})
    expected = cross_entropy(logits(), labels, weight=weights, label_smoothing=smoothing)
    torch.testing.assert_close(loss(logits(), labels, rules, weights), expected, rtol=1e-4, atol=1e-5)


@given(gamma=st.floats(0.05, 5), seed=st.integers(0, 100))
def test_of_two_classes_it_is_torchvisions_focal_loss_for_any_gamma(gamma: float, seed: int) -> None:
    """The tutorial's schedule rounds gamma with `int()`; here 0.5 and 2.5 work too."""
    x = torch.randn(8, generator=torch.Generator().manual_seed(seed)) * 2
    labels = torch.arange(8) % 2
    expected = sigmoid_focal_loss(x, labels.float(), alpha=-1, gamma=gamma, reduction="mean")
    found = loss(torch.stack([torch.zeros(8), x], 1), labels, LOSS.model_copy(update={"focal_gamma": gamma}))
    torch.testing.assert_close(found, expected, rtol=1e-4, atol=1e-5)


def test_a_gamma_between_two_numbers_gives_a_loss_between_theirs() -> None:
    found = [loss(logits(), LABELS, LOSS.model_copy(update={"focal_gamma": g})).item() for g in (0.0, 1.0, 1.5, 2.0)]
    assert found == sorted(found, reverse=True)
    assert len(set(found)) == 4


@pytest.mark.parametrize("gamma", [0.0, 0.5, 2.0])
@pytest.mark.parametrize("scale", [1.0, 1e4])
def test_gradients_are_finite_however_sure_the_network_is(gamma: float, scale: float) -> None:
    x = (logits() * scale).requires_grad_()
    loss(x, LABELS, LOSS.model_copy(update={"focal_gamma": gamma})).backward()
    assert x.grad is not None
    assert x.grad.isfinite().all()


@pytest.mark.parametrize("gamma", [0.0, 2.0])
def test_it_is_a_mean_over_images_whatever_the_size_of_the_batch(gamma: float) -> None:
    """The tutorial divides a sum of means by the number of images, so its loss depends on the batch size."""
    rules = LOSS.model_copy(update={"focal_gamma": gamma})
    whole = loss(logits(), LABELS, rules)
    halves = [loss(logits()[part], LABELS[part], rules) for part in (slice(0, 3), slice(3, 6))]
    torch.testing.assert_close(whole, torch.stack(halves).mean())


def test_balanced_weights_are_scikit_learns() -> None:
    found = class_weights(LOSS.model_copy(update={"balanced": True}), NAMES, LABELS.tolist())
    expected = compute_class_weight("balanced", classes=np.arange(3), y=LABELS.numpy())
    np.testing.assert_allclose(found, expected, rtol=1e-6)


def test_a_class_without_images_has_a_weight_too() -> None:
    found = class_weights(LOSS.model_copy(update={"balanced": True}), NAMES, [0, 0, 2, 2, 2])
    assert found is not None
    torch.testing.assert_close(found, torch.tensor([5 / 4, 1.0, 5 / 6]))


def test_weights_by_name_multiply_the_balanced_ones_and_are_none_where_none_are_asked_for() -> None:
    rules = LOSS.model_copy(update={"class_weights": {"dog": 3.0}})
    assert class_weights(rules, NAMES, [0, 1, 2]).tolist() == [1.0, 3.0, 1.0]
    both = rules.model_copy(update={"balanced": True})
    assert class_weights(both, NAMES, [0, 0, 1, 2]).tolist() == pytest.approx([4 / 6, 4.0, 4 / 3])
    assert class_weights(LOSS, NAMES, [0, 1, 2]) is None


def test_a_class_that_is_not_there_is_an_error_that_names_those_that_are() -> None:
    rules = LOSS.model_copy(update={"class_weights": {"horse": 3.0}})
    with pytest.raises(InputError, match=r"no class 'horse'; the data have cat, dog, bird"):
        class_weights(rules, NAMES, [0])


@pytest.mark.parametrize("smoothing", [0.0, 0.1])
@pytest.mark.parametrize("weights", [None, WEIGHTS])
@pytest.mark.parametrize("shares", [False, True])
@pytest.mark.parametrize("gamma", [0.0, 1.5])
def test_the_mean_over_two_processes_is_the_loss_of_the_batch(
    monkeypatch: pytest.MonkeyPatch, smoothing: float, weights: torch.Tensor | None, shares: bool, gamma: float
) -> None:
    """They have two images and four."""
    labels = torch.eye(3)[LABELS] * 0.7 + torch.eye(3)[LABELS.flip(0)] * 0.3 if shares else LABELS
    rules = LOSS.model_copy(update={"label_smoothing": smoothing, "focal_gamma": gamma})
    parts = [slice(0, 2), slice(2, 6)]
    found = both(monkeypatch, lambda rank: loss(logits()[parts[rank]], labels[parts[rank]], rules, weights))
    torch.testing.assert_close(sum(found) / 2, loss(logits(), labels, rules, weights), rtol=1e-5, atol=1e-6)
    naive = [loss(logits()[part], labels[part], rules, weights) for part in parts]
    assert abs(sum(naive) / 2 - sum(found) / 2) > 1e-3
