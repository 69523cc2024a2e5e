"""Measure how much faster two workers of a Dask cluster search and describe than one, all on this machine.

    python -m benchmarks.dask_workers [--only describe --regions 20 --rounds 3]

Each round takes one worker and two in turns; the scenes are drawn, with the size of photos. The scheduler, its workers
and this process talk over the loopback. The seconds of the clock need two free cores. The processor seconds of each
kind of process do not: those of the busiest worker tell how long it would compute on a core of its own, and the others
what the cluster costs beside the work.
"""

import argparse
import os
import statistics
import tempfile
import time
from collections.abc import Callable
from contextlib import ExitStack
from functools import partial
from pathlib import Path
from typing import NamedTuple

import stages  # noqa: F401  # pins the arithmetic, so it comes before torch and NumPy

import numpy as np  # isort: skip
import torch

from benchmarks.pairs import Setting, photos, seconds
from benchmarks.rcnn_rates import boxes, search
from src.files.boxed_images import BoxedImages
from src.rcnn import network
from src.rcnn.extract import extract
from src.rcnn.features import unlabelled
from src.rcnn.warp import Warp
from stages.cluster import Cluster
from tests.local_cluster import LocalCluster, local_cluster

SETTINGS = {"width": 500, "min_side": 16, "nms_thresh": None}


class Measured(NamedTuple):
    """The seconds of an action."""

    clock: float
    busiest: float  # of the processor, of the busiest worker
    by_process: dict[str, float]  # of the processor: the client, which is this process, and those of the cluster

    def __str__(self) -> str:
        parts = ", ".join(f"{name} {value:.2f}" for name, value in self.by_process.items())
        return f"{self.clock:.1f} s (processor seconds: {parts})"


class Side(NamedTuple):
    """A cluster of this machine, and its client."""

    cluster: LocalCluster
    client: Cluster

    def measured(self, action: Callable[[Cluster], None]) -> Measured:
        """Measure an action."""
        workers, before = self.client.client.run(time.process_time), self._processor_seconds()
        clock = seconds(partial(action, self.client))
        after = self._processor_seconds()
        busy = [now - workers[name] for name, now in self.client.client.run(time.process_time).items()]
        return Measured(clock, max(busy), {name: after[name] - before[name] for name in after})

    def _processor_seconds(self) -> dict[str, float]:
        return {"client": time.process_time(), **self.cluster.processor_seconds()}


def main() -> None:
    """Print the seconds of each round, and the medians of the ratios."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--images", type=int, default=48)
    parser.add_argument("--regions", type=int, default=100, help="per image")
    parser.add_argument("--only", choices=ACTIONS, help="one of the two measurements [both]")
    options = parser.parse_args()
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        data, ids = stack.enter_context(photos(Setting(quick=False, rounds=1, images=None), options.images))
        sides = []
        for number in (1, 2):
            (folder / str(number)).mkdir()
            made = stack.enter_context(local_cluster(folder / str(number), number))
            sides.append(Side(made, Cluster(made.address)))
        for name in [options.only] if options.only else ACTIONS:
            action = ACTIONS[name](data, ids, options.regions, folder / "f.npy")
            for side in sides:
                action(side.client)  # imports, compiled kernels
            rounds = []
            for _ in range(options.rounds):
                one, two = (side.measured(action) for side in sides)
                rounds.append((one.clock / two.clock, one.busiest / two.busiest))
                print(f"{name}: one worker {one}; two {two}; load {os.getloadavg()[0]:.1f}", flush=True)
            clock, busy = (statistics.median(ratios) for ratios in zip(*rounds, strict=True))
            print(
                f"{name}: two workers are {clock:.2f} times as fast as one, and by the processor seconds of the "
                f"busiest {busy:.2f} (medians)"
            )


def _search(data: BoxedImages, ids: list[str], _: int, __: Path) -> Callable[[Cluster], None]:
    return lambda used: used.map(partial(search, data, SETTINGS), ids, "search") and None


def _describe(data: BoxedImages, ids: list[str], regions: int, path: Path) -> Callable[[Cluster], None]:
    rng = np.random.default_rng(0)
    records = {name: unlabelled(boxes(rng, regions, data.image(name).shape[:2])) for name in ids}
    net = network.build("alexnet", 21, pool=6, hidden=4096)
    options = {"settings": Warp(size=227, context=16), "batch_size": 128, "device": torch.device("cpu")}
    return lambda used: extract(net, data, records, path, layer="fc7", jobs=used, **options)


ACTIONS = {"search": _search, "describe": _describe}


if __name__ == "__main__":
    main()
