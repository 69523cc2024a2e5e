"""Measure how much faster two workers of a Dask cluster search and describe than one, all on this machine.

    python -m benchmarks.dask_workers

Each round takes one worker and two in turns; the scenes are drawn, with the size of photos. The scheduler, its workers
and this process talk over the loopback. The seconds of the wall need two free cores. The processor seconds of the
busiest worker do not: they tell how long it would compute on a core of its own.
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
from tests.local_cluster import local_cluster

SETTINGS = {"width": 500, "min_side": 16, "nms_thresh": None}


def main() -> None:
    """Print the seconds of each round, and the medians of the ratios."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--images", type=int, default=48)
    parser.add_argument("--regions", type=int, default=100, help="per image")
    options = parser.parse_args()
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        data, ids = stack.enter_context(photos(Setting(quick=False, rounds=1, images=None), options.images))
        clusters = []
        for number in (1, 2):
            (folder / str(number)).mkdir()
            made = stack.enter_context(local_cluster(folder / str(number), number))
            clusters.append(Cluster(made.address))
        actions = {
            "search": lambda used: used.map(partial(search, data, SETTINGS), ids, "search"),
            "describe": partial(_describe, data, ids, options.regions, folder / "f.npy"),
        }
        for name, action in actions.items():
            for used in clusters:
                action(used)  # imports, compiled kernels, the network
            rounds = []
            for _ in range(options.rounds):
                one, two = (_measured(action, used) for used in clusters)
                rounds.append((one[0] / two[0], one[1] / two[1]))
                words = (
                    f"one worker {one[0]:.1f} s, {one[1]:.1f} s of its processor; two {two[0]:.1f} s, {two[1]:.1f} s"
                )
                print(f"{name}: {words} of the busier one's; load {os.getloadavg()[0]:.1f}", flush=True)
            wall, busy = (statistics.median(ratios) for ratios in zip(*rounds, strict=True))
            print(
                f"{name}: two workers are {wall:.2f} times as fast as one, and by the processors {busy:.2f} (medians)"
            )


def _measured(action: Callable[[Cluster], None], used: Cluster) -> tuple[float, float]:
    """Return the seconds of an action, and the processor seconds of its busiest worker."""
    before = used.client.run(time.process_time)
    wall = seconds(partial(action, used))
    after = used.client.run(time.process_time)
    return wall, max(after[worker] - before[worker] for worker in after)


def _describe(data: BoxedImages, ids: list[str], regions: int, path: Path, used: Cluster) -> None:
    rng = np.random.default_rng(0)
    records = {name: unlabelled(boxes(rng, regions, data.image(name).shape[:2])) for name in ids}
    net = network.build("alexnet", 21, pool=6, hidden=4096)
    settings = Warp(size=227, context=16)
    extract(
        net, data, records, path, layer="fc7", settings=settings, batch_size=128, device=torch.device("cpu"), jobs=used
    )


if __name__ == "__main__":
    main()
