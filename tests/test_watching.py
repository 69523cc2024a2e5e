"""The watch of a training, with a clock and a GPU that do as they are told."""

from collections.abc import Iterator
from typing import Any

import pytest
import torch
from lightning_fabric import Fabric
from torch import nn
from torch.utils.data import Dataset

from benchmarks import watching
from benchmarks.watching import Watch, watched
from src.training.loop import Run, fit
from tests.training.test_loop import SETTINGS


class Clock:
    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.seconds = 0.0
        monkeypatch.setattr(watching.time, "perf_counter", lambda: self.seconds)

    def batches(self, waits: list[float], epoch: int = 0) -> Iterator[int]:
        for number, wait in enumerate(waits):
            self.seconds += wait
            yield number


def test_steps_and_waiting_are_those_after_the_warm_up(monkeypatch: pytest.MonkeyPatch) -> None:
    clock, watch = Clock(monkeypatch), Watch(warm_up=1)
    for _ in watch.over(clock.batches([50.0, 1.0, 0.0])):
        clock.seconds += 3.0
    clock.seconds += 100.0  # a validation
    for _ in watch.over(clock.batches([2.0])):
        clock.seconds += 3.0
    figures = watch.figures(batch_size=6)
    assert figures["steps"] == 3
    assert (figures["step_lower"], figures["step"], figures["step_upper"]) == (3.5, 4.0, 4.5)
    assert figures["images_per_second"] == 6 * 3 / (4 + 3 + 5)
    assert figures["utilisation"] == pytest.approx(1 - 3 / 12)


def test_no_step_after_the_warm_up_is_an_error() -> None:
    with pytest.raises(ValueError, match="0 steps leave none after a warm-up of 1"):
        Watch(1).figures(1)


class Gpu:
    """A GPU that takes 10 s for a step; Python only tells it what to do. An event ends when all before it has ended."""

    def __init__(self) -> None:
        self.free_at = 0.0
        self.clock = 0.0

    def event(self, enable_timing: bool) -> Any:
        gpu = self

        class Event:
            def record(self, stream: Any) -> None:
                self.at = max(gpu.free_at, gpu.clock)

            def elapsed_time(self, other: Any) -> float:
                return (other.at - self.at) * 1e3

        return Event()


@pytest.mark.parametrize(("wait", "utilisation"), [(4.0, 1.0), (30.0, 10 / 30)])
def test_a_gpu_that_is_still_busy_waits_for_no_batch(
    monkeypatch: pytest.MonkeyPatch, wait: float, utilisation: float
) -> None:
    """Python waits for each batch, but the GPU only if the batch comes after the end of its last step."""
    gpu, watch = Gpu(), Watch(warm_up=1)
    watch.device = torch.device("cuda", 0)
    monkeypatch.setattr(torch.cuda, "Event", gpu.event)
    monkeypatch.setattr(torch.cuda, "current_stream", lambda device: None)
    monkeypatch.setattr(torch.cuda, "synchronize", lambda device: None)
    monkeypatch.setattr(torch.cuda, "max_memory_allocated", lambda device: 2e9)

    def batches() -> Iterator[int]:
        for number in range(5):
            gpu.clock += wait
            yield number

    for _ in watch.over(batches()):
        gpu.free_at = max(gpu.free_at, gpu.clock) + 10.0
    figures = watch.figures(batch_size=1)
    assert figures["utilisation"] == pytest.approx(utilisation)
    assert figures["step"] == max(10.0, wait)
    assert figures["gigabytes"] == 2.0


class Numbers(Dataset):
    def __getitem__(self, index: int) -> torch.Tensor:
        return torch.tensor([float(index)])


def test_a_watched_training_is_the_training_of_the_loop() -> None:
    """The stand-in for `Run` changes no weight, and sees every step but no validation."""
    watch, weights = Watch(warm_up=0), []
    train = SETTINGS.model_copy(update={"epochs": 2, "best_by": "val_loss"})
    for make in (Run, watched(watch)):
        torch.manual_seed(0)
        net = nn.Linear(1, 1)
        run = make(Fabric(accelerator="cpu", devices=1), train, 0, 0, None)
        loader, validation = run.loader(Numbers()), run.loader(Numbers())
        fit(
            run,
            net,
            lambda epoch, loader=loader: loader.load(range(3)),
            lambda model, batch: {"loss": model(batch).square().sum()},
            validate=lambda model, images=validation: [("val_loss", float(len(list(images.on_device(range(2))))))],
        )
        weights.append(net.weight.item())
    assert weights[0] == weights[1]
    assert len(watch.steps) == 6
