import math
from collections.abc import Callable

import pytest
import torch

from src.training.tally import EVERY, Tally


def losses(value: float) -> dict[str, torch.Tensor]:
    return {"class_loss": torch.tensor(value), "box_loss": torch.tensor(0.1)}


def test_the_means_are_those_of_doubles_whenever_they_are_read() -> None:
    values = torch.rand(3 * EVERY + 7).tolist()
    seldom, often = Tally(), Tally()
    for value in values:
        seldom.add(losses(value), None)
        often.add(losses(value), None)
        often.means()
    one, two = seldom.means(), often.means()
    assert one == two
    assert one["class_loss"] == sum(torch.tensor(value).item() for value in values) / len(values)
    assert one["box_loss"] == pytest.approx(0.1)


def test_the_sum_of_a_batch_has_the_gradient_of_its_losses() -> None:
    weight = torch.ones(1, requires_grad=True)
    Tally().add({"a": 2 * weight.sum(), "b": 3 * weight.sum()}, None).backward()
    assert weight.grad == 5


def test_the_device_is_read_once_in_many_batches(monkeypatch: pytest.MonkeyPatch) -> None:
    read: list[str] = []

    def watched(name: str) -> Callable[..., object]:
        plain = getattr(torch.Tensor, name)
        return lambda tensor: read.append(name) or plain(tensor)

    for name in ("item", "tolist", "__bool__", "__float__", "cpu", "numpy"):
        monkeypatch.setattr(torch.Tensor, name, watched(name))
    tally = Tally()
    for _ in range(2 * EVERY + 5):
        tally.add(losses(1.0), None)
    assert read == ["tolist"] * 2
    tally.means()
    assert read == ["tolist"] * 4  # the batches that are left, and the sums


@pytest.mark.parametrize("bad", [0, EVERY - 1, EVERY, EVERY + 3])
@pytest.mark.parametrize("value", [math.nan, math.inf])
def test_the_first_batch_that_is_not_finite_is_named_at_the_next_reading(bad: int, value: float) -> None:
    tally = Tally()

    def train() -> None:
        for index in range(2 * EVERY):
            tally.add(losses(value if index >= bad else 1.0), {"ids": [f"image {index}", "x"]})

    with pytest.raises(FloatingPointError, match=rf"class_loss is {value} at batch {bad} \(image {bad}, x\)"):
        train()
    assert tally.count == (bad // EVERY + 1) * EVERY


def test_the_end_of_an_epoch_reads_what_is_left() -> None:
    tally = Tally()
    tally.add(losses(math.nan), torch.ones(1))
    with pytest.raises(FloatingPointError, match=r"class_loss is nan at batch 0 \(no ids\)"):
        tally.means()


def test_an_epoch_without_batches_has_no_means() -> None:
    assert Tally().means() == {}


def test_several_processes_read_their_means_and_a_loss_of_any_that_is_not_finite() -> None:
    """The other process has losses of 3 and of infinity; both know the images of the whole batch."""
    tally = Tally(lambda values: (values + 3) / 2)
    tally.add(losses(1.0), {"ids": ["a"]})
    assert tally.means()["class_loss"] == 2.0
    broken = Tally(lambda values: values + math.inf)
    broken.add(losses(1.0), {"ids": ["a"]})
    with pytest.raises(FloatingPointError, match=r"class_loss is inf at batch 0 \(a\)"):
        broken.means()
