"""The loader's workers live as long as it does, and decode each image once in all."""

import multiprocessing
import os
from pathlib import Path
from typing import Any
from unittest import mock

import pytest
import torch

from src.training import epoch_batches
from src.training.epoch_batches import EpochBatches, Kept
from src.training.loading import Loader

IMAGES = 12
decoded = multiprocessing.Value("i", 0)  # in all processes


def decode(image_id: str) -> torch.Tensor:
    with decoded.get_lock():
        decoded.value += 1
    return torch.full((10,), int(image_id), dtype=torch.uint8)


class Pictures(EpochBatches):
    """Batches of images, with the process that made each."""

    def __init__(self) -> None:
        ids = [str(number) for number in range(IMAGES)]
        super().__init__(Path("set.zip"), ids, batch_size=3, seed=1, shuffle=True)
        self._kept = Kept(decode, torch.Tensor.numel)

    def __getitem__(self, index: int) -> dict[str, Any]:
        with self.drawing(index):
            noise = torch.rand(2)
        return {
            "images": torch.stack([self._kept[name] for name in self.ids(index)]),
            "noise": noise,
            "by": os.getpid(),
        }


@pytest.fixture(autouse=True)
def forked(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(multiprocessing, "get_start_method", lambda: "fork")
    decoded.value = 0


def epochs(loader: Loader, count: int = 3) -> list[list[dict[str, Any]]]:
    assert isinstance(loader.data, Pictures)
    return [list(loader.load(loader.data.epoch(number))) for number in range(count)]


@pytest.mark.parametrize("workers", [0, 2])
def test_each_image_is_decoded_once_in_a_training(workers: int) -> None:
    data = Pictures()
    loader = Loader(data, workers)
    list(loader.load(data.epoch(0)))
    assert decoded.value == IMAGES
    list(loader.load(data.epoch(1)))
    assert decoded.value == IMAGES


def test_a_worker_that_is_told_to_end_leaves_as_after_ctrl_c() -> None:
    """Killed by the signal, it would leave its temporary folder, and this process would print PyTorch's traceback."""
    data, before = Pictures(), multiprocessing.active_children()
    loader = Loader(data, 2)
    list(loader.load(data.epoch(0)))
    workers = [child for child in multiprocessing.active_children() if child not in before]
    assert len(workers) == 2
    for worker in workers:
        worker.terminate()
        worker.join(20)
    assert [worker.exitcode for worker in workers] == [0, 0]


def test_only_images_that_fit_are_kept_and_the_others_are_decoded_by_those_who_need_them(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(epoch_batches, "MEMORY", 70)  # 7 images of 10 bytes
    loader = Loader(Pictures(), 2)
    epochs(loader, 2)
    assert decoded.value == IMAGES + 2 * (IMAGES - 7)


def test_a_third_of_the_free_memory_is_used_at_most(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(epoch_batches, "free_memory", lambda: 100)
    kept = Kept(decode, torch.Tensor.numel)
    for _ in range(2):
        for name in range(5):
            kept[str(name)]
    assert decoded.value == 5 + 2  # three images of 10 bytes are kept


def test_workers_without_a_common_memory_divide_the_room(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(epoch_batches, "MEMORY", 70)
    monkeypatch.setattr(epoch_batches, "get_worker_info", lambda: mock.Mock(num_workers=2))
    kept = Kept(decode, torch.Tensor.numel)
    for _ in range(2):
        for name in range(5):
            kept[str(name)]
    assert decoded.value == 5 + 2  # three of them, each of which counts twice


def test_a_spawned_worker_gets_no_images() -> None:
    kept = Kept(decode, torch.Tensor.numel)
    kept.fill(["1", "2"])
    kept["1"]
    assert decoded.value == 2
    assert kept.__getstate__()["_images"] == {}
    kept.keep_none()
    assert kept.__getstate__()["_room"] == 0


def test_nothing_is_filled_for_workers_that_are_spawned(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(multiprocessing, "get_start_method", lambda: "spawn")
    data, seen = Pictures(), []
    monkeypatch.setattr("src.training.loading.DataLoader", lambda *_, **options: seen.append(options))
    Loader(data, 2).load(range(4))
    assert decoded.value == 0
    assert seen[0]["persistent_workers"]


def test_images_that_come_once_are_not_kept() -> None:
    data = Pictures()
    data.keep_none()
    epochs(Loader(data, 2), 2)
    assert decoded.value == 2 * IMAGES


@pytest.mark.filterwarnings("ignore:This DataLoader will create")  # more workers than this machine may have CPUs
def test_batches_do_not_depend_on_workers_which_live_as_long_as_the_loader() -> None:
    alone, processes = epochs(Loader(Pictures())), set()
    for workers in (1, 2, 4, 9):  # an epoch has 4 batches, so more than 4 would have nothing to do
        together = epochs(Loader(Pictures(), workers))
        for batch, wanted in zip(sum(together, []), sum(alone, []), strict=True):
            assert torch.equal(batch["images"], wanted["images"])
            assert torch.equal(batch["noise"], wanted["noise"])
        found = [{batch["by"] for batch in epoch} for epoch in together]
        assert found == [found[0]] * 3
        assert len(found[0]) == min(workers, 4)
        processes |= found[0]
    assert os.getpid() not in processes


@pytest.mark.parametrize("workers", [0, 2])
def test_the_loop_draws_the_same_numbers_with_any_number_of_workers(workers: int) -> None:
    state = torch.get_rng_state()
    epochs(Loader(Pictures(), workers), 2)
    assert torch.equal(torch.get_rng_state(), state)


def test_on_a_gpu_batches_are_in_page_locked_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[dict[str, Any]] = []
    monkeypatch.setattr("src.training.loading.DataLoader", lambda *_, **options: seen.append(options))
    devices: list[torch.device] = []
    monkeypatch.setattr("torch.cuda.set_device", devices.append)
    for device in ("cpu", "cuda", "cuda:1"):
        Loader(Pictures(), device=torch.device(device)).load(range(1))
    assert [options["pin_memory"] for options in seen] == [False, True, True]
    assert devices == [torch.device("cuda:1")]  # the thread that locks pages takes the present GPU


def test_batches_go_to_the_loaders_device_and_their_names_stay() -> None:
    loader = Loader(Pictures(), device=torch.device("meta"))
    for batch in loader.on_device(range(2)):
        assert (batch["images"].device.type, batch["images"].shape) == ("meta", (3, 10))
        assert batch["by"] == os.getpid()
    assert all(batch["images"].device.type == "cpu" for batch in loader.load(range(2)))  # the loop moves these


def test_an_epoch_that_was_left_halfway_does_not_leak_into_the_next() -> None:
    data = Pictures()
    loader = Loader(data, 2)
    next(iter(loader.load(data.epoch(0))))
    found = [batch["images"] for batch in loader.load(data.epoch(1))]
    for images, index in zip(found, data.epoch(1), strict=True):
        assert torch.equal(images, data[index]["images"])
