"""Watch a training from outside: the time of each step, and the time in which the device waited for its batch.

The watch stands between the loader and the training loop. On a GPU, both moments of a step are events in the GPU's own
queue. So the time between them is that in which the GPU had nothing to do, also if Python ran ahead of it.
"""

import time
from collections.abc import Iterator
from typing import Any, NamedTuple

import numpy as np
import torch
from lightning_fabric.utilities import move_data_to_device
from torch.utils.data import Dataset

from src.training.loading import Batches, Loader
from src.training.loop import Run


class Moment(NamedTuple):
    """A moment in the queue of a GPU, or on the clock if there is no GPU."""

    seconds: float
    event: "torch.cuda.Event | None"

    def until(self, later: "Moment") -> float:
        """Return the seconds to a later moment."""
        if self.event is None or later.event is None:
            return later.seconds - self.seconds
        return float(self.event.elapsed_time(later.event)) / 1e3


class Step(NamedTuple):
    """The moments of a step: a batch is needed, the batch is there, the device has done all work of the step."""

    asked: Moment
    given: Moment
    done: Moment


class Watch:
    """The moments of all steps of a training. What comes between two epochs, such as a validation, belongs to no step.

    Args:
        warm_up: number of first steps that are left out of the figures.
    """

    def __init__(self, warm_up: int) -> None:
        self.warm_up = warm_up
        self.device = torch.device("cpu")
        self.steps: list[Step] = []

    def now(self) -> Moment:
        """Return the present moment; on a GPU that at which it will have done all that it was given."""
        if self.device.type != "cuda":
            return Moment(time.perf_counter(), None)
        event = torch.cuda.Event(enable_timing=True)
        event.record(torch.cuda.current_stream(self.device))
        return Moment(time.perf_counter(), event)

    def over(self, batches: Batches) -> Iterator[Any]:
        """Yield the batches, and note the moments."""
        iterator, asked = iter(batches), self.now()
        for batch in iterator:
            given = self.now()
            yield batch
            done = self.now()
            self.steps.append(Step(asked, given, done))
            asked = done

    def figures(self, batch_size: int) -> dict[str, float]:
        """Return the figures after the warm-up: seconds of a step, images per second, utilisation, and memory.

        `step` is the median, with the quartiles beside it. `images_per_second` is over the whole time. `utilisation` is
        the share of the time in which the device did not wait for a batch. `gigabytes` is the largest memory of a GPU.

        Raises:
            ValueError: no step is left after the warm-up.
        """
        counted = self.steps[self.warm_up :]
        if not counted:
            raise ValueError(f"{len(self.steps)} steps leave none after a warm-up of {self.warm_up}")
        if self.device.type == "cuda":
            torch.cuda.synchronize(self.device)
        seconds = [step.asked.until(step.done) for step in counted]
        waits = [step.asked.until(step.given) for step in counted]
        lower, median, upper = (float(value) for value in np.percentile(seconds, [25, 50, 75]))
        figures = {
            **{"steps": len(counted), "step": median, "step_lower": lower, "step_upper": upper},
            "images_per_second": batch_size * len(counted) / sum(seconds),
            "utilisation": 1 - sum(waits) / sum(seconds),
        }
        if self.device.type == "cuda":
            figures["gigabytes"] = torch.cuda.max_memory_allocated(self.device) / 1e9
        return figures


class WatchedLoader(Loader):
    """A loader whose batches a watch sees."""

    def __init__(self, watch: Watch, data: Dataset[Any], workers: int, device: torch.device) -> None:
        super().__init__(data, workers, device)
        self._watch = watch

    def load(self, items: range) -> Batches:
        """Return the items as the batches of an epoch."""
        return _Watched(self._watch, super().load(items))

    def on_device(self, items: range) -> Iterator[Any]:
        """Yield items on the device; a validation is no step, so nothing is noted."""
        for batch in super().load(items):
            yield move_data_to_device(batch, self.device)


class _Watched:
    def __init__(self, watch: Watch, batches: Batches) -> None:
        self._watch, self._batches = watch, batches

    def __len__(self) -> int:
        return len(self._batches)

    def __iter__(self) -> Iterator[Any]:
        return self._watch.over(self._batches)


class WatchedRun(Run):
    """The circumstances of a training that a watch sees."""

    watch: Watch

    def loader(self, data: Dataset[Any]) -> Loader:
        """Return the watched loader of a data set whose items are whole batches."""
        self.watch.device = self.fabric.device
        return WatchedLoader(self.watch, data, self.workers, self.fabric.device)


def watched(watch: Watch) -> Any:
    """Return a function that stands in for `Run` in the module of a stage, which then trains under the watch."""

    def make(*arguments: Any) -> WatchedRun:
        run = WatchedRun(*arguments)
        run.watch = watch
        return run

    return make
