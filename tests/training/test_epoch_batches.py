from pathlib import Path
from unittest import mock

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from src.errors import InputError
from src.training import epoch_batches
from src.training.epoch_batches import EpochBatches, Kept


def batches(
    count: int, batch_size: int = 4, *, seed: int = 0, shuffle: bool = True, batches_per_epoch: int | None = None
) -> EpochBatches:
    ids = [str(number) for number in range(count)]
    options = {"batch_size": batch_size, "seed": seed, "shuffle": shuffle}
    return EpochBatches(Path("set.zip"), ids, batches_per_epoch=batches_per_epoch, **options)


@given(st.integers(1, 40), st.integers(1, 12), st.integers(0, 5))
def test_shuffled_no_image_comes_twice_and_less_than_a_batch_is_left_out(count: int, size: int, epoch: int) -> None:
    data = batches(count, size)
    lists = [data.ids(index) for index in data.epoch(epoch)]
    seen = [image_id for ids in lists for image_id in ids]
    assert len(set(seen)) == len(seen) <= count < len(seen) + size
    assert {len(ids) for ids in lists} == {min(size, count)}


@given(st.integers(1, 40), st.integers(1, 12))
def test_without_shuffling_all_images_come_in_their_order(count: int, size: int) -> None:
    data = batches(count, size, shuffle=False)
    assert [image_id for index in data.epoch(0) for image_id in data.ids(index)] == data.image_ids


@given(st.integers(1, 40), st.integers(1, 12), st.integers(1, 30))
def test_epochs_of_so_many_batches_go_on_through_the_passes(count: int, size: int, per_epoch: int) -> None:
    passes, epochs = batches(count, size), batches(count, size, batches_per_epoch=per_epoch)
    assert [len(epochs.epoch(number)) for number in (0, 7)] == [per_epoch] * 2
    items = [index for number in range(3) for index in epochs.epoch(number)]
    assert items == list(range(3 * per_epoch))
    for index in items:
        whole = passes.epoch(index // passes.per_epoch)
        assert epochs.ids(index) == passes.ids(whole[index % passes.per_epoch])


def test_epochs_and_seeds_have_orders_of_their_own() -> None:
    orders = [batches(8, 8, seed=seed).ids(epoch) for seed in (0, 1) for epoch in range(4)]
    assert len({tuple(order) for order in orders}) == 8


def test_random_numbers_are_those_of_seed_and_index_and_the_loop_keeps_its_own() -> None:
    def drawn(data: EpochBatches, index: int) -> float:
        with data.drawing(index):
            return torch.rand(1).item()

    state = torch.get_rng_state()
    found = [drawn(batches(8, seed=seed), index) for seed in (0, 1) for index in (0, 1)]
    assert torch.equal(torch.get_rng_state(), state)
    assert len(set(found)) == 4
    assert drawn(batches(8, seed=1), 1) == found[-1]


def test_the_random_state_comes_back_after_an_error_too() -> None:
    state = torch.get_rng_state()
    with pytest.raises(KeyError), batches(8).drawing(0):
        raise KeyError
    assert torch.equal(torch.get_rng_state(), state)


def test_the_numbers_that_a_network_draws_on_a_gpu_do_not_change() -> None:
    names = ("manual_seed", "manual_seed_all", "seed", "seed_all", "set_rng_state", "set_rng_state_all")
    with mock.patch.multiple("torch.cuda", **dict.fromkeys(names, mock.DEFAULT)) as seeding:
        with batches(8).drawing(0):
            torch.rand(1)
        assert not any(function.called for function in seeding.values())


def test_no_image_is_an_error_that_names_the_data_set() -> None:
    with pytest.raises(InputError, match=r"set\.zip has no image to train on"):
        batches(0)


def test_images_are_kept_while_there_is_room(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(epoch_batches, "MEMORY", 10)
    loaded: list[str] = []

    def load(image_id: str) -> bytes:
        loaded.append(image_id)
        return image_id.encode() * 4

    kept = Kept(load, len)
    assert [kept[name] for name in ("a", "b", "c", "a", "b", "c")] == [b"aaaa", b"bbbb", b"cccc"] * 2
    assert loaded == ["a", "b", "c", "c"]
