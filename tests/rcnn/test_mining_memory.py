"""Mining of a pool that is far larger than its memory: `pytest -m slow tests/rcnn/test_mining_memory.py`."""

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

REGIONS, WIDTH, CLASSES, POSITIVES = 5_000_000, 256, 20, 400
LIMIT = 2 * 2**30  # measured: 0.92 * 2**30

CHILD = """
import sys
from functools import partial
import numpy as np
from src.rcnn.mining import Candidates, TrainSvm, mine, solver_of
from src.rcnn.solvers import Sgd

path, classes, positives = sys.argv[1], int(sys.argv[2]), int(sys.argv[3])
features = np.load(path, mmap_mode="r")
every = np.arange(len(features), dtype=np.int32)
kinds = [
    Candidates(every[n * positives : (n + 1) * positives], np.r_[every[: n * positives], every[(n + 1) * positives :]])
    for n in range(classes)
]
rules = TrainSvm(
    solver="dual_coordinate_descent", c=0.001, bias_multiplier=10.0, positive_weight=2.0, neg_iou_thresh=0.3,
    neg_iou_zero=True, neg_min_area=0.0, only_images_with_objects=False, first_negatives=2000, rounds=1,
    hard_margin=-1.0, easy_margin=-1.2, retrain_every=2000, max_held=20_000,
    sgd=Sgd(lr=1e-4, lr_step=4, lr_gamma=0.1, epochs=1),
)
scale = np.full(features.shape[1], 20 / features.shape[1] ** 0.5, np.float32)
for _, table in mine(features, scale, kinds, solver_of(rules, 0), rules, seed=0):
    print(sum(row.newly_hard for row in table), "newly hard,", sum(row.fits for row in table), "fits, the largest of",
          max(row.negatives for row in table))
# Not ru_maxrss, which begins with the memory of the process that started this one.
print(int(open("/proc/self/status").read().split("VmHWM:")[1].split()[0]) * 1024)
"""


def write_features(path: Path) -> None:
    """Write noise; the first rows of each class are shifted, so that a few negatives in a thousand are hard."""
    rng = np.random.default_rng(0)
    features = np.lib.format.open_memmap(path, "w+", np.float16, (REGIONS, WIDTH))
    for start in range(0, REGIONS, 100_000):
        features[start : start + 100_000] = rng.standard_normal((100_000, WIDTH), np.float32)
    for number in range(CLASSES):
        features[number * POSITIVES : (number + 1) * POSITIVES, 4 * number : 4 * number + 4] += 2


@pytest.mark.slow
def test_five_million_regions_of_twenty_classes_take_less_than_two_gibibytes(tmp_path: Path) -> None:
    """All hard negatives at once, and a pool whose pages stay in memory, took more."""
    write_features(tmp_path / "features.npy")
    words = [sys.executable, "-c", CHILD, str(tmp_path / "features.npy"), str(CLASSES), str(POSITIVES)]
    done = subprocess.run(words, env={**os.environ, "PYTHONPATH": "."}, capture_output=True, text=True)
    (tmp_path / "features.npy").unlink()
    assert done.returncode == 0, done.stderr
    print(done.stdout)
    assert int(done.stdout.split()[-1]) < LIMIT
