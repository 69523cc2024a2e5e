"""The cost of a stage with 50, 200 and 800 images: seconds per image, and the largest memory of its process.

    python -m benchmarks.all --parts growth

A stage whose cost is linear has the same seconds per image in each row, and one that works image by image has the same
memory too. Each row is a process of its own with one job. Images are drawn scenes at their own size, about 200 pixels;
R-CNN's network has the sizes of params.yaml. The seconds are processor time of the work, without the start of the
process, so that other programs do not bend the line.
"""

import json
import os
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np

from benchmarks.pairs import Row, Setting, draw

STAGES = ("propose", "extract", "evaluate")
COUNTS = (50, 200, 800)
SIDES = (150, 200)  # height, width
REGIONS = 20  # per image that are described
FOUND = 100  # detections per image that are evaluated


def rows(setting: Setting) -> Iterator[Row]:
    """Yield the rows of `make bench`: one per stage and number of images."""
    with tempfile.TemporaryDirectory() as folder:
        for stage in STAGES:
            for count in (10, 20) if setting.quick else COUNTS:
                command = [sys.executable, "-m", "benchmarks.growth", stage, str(count), folder]
                environment = {**os.environ, "JOBS": "1", "DEVICE": "cpu"}
                done = subprocess.run(command, env=environment, check=True, capture_output=True, text=True)
                yield {"stage": stage, "images": count, **json.loads(done.stdout.splitlines()[-1])}


def measured(stage: str, count: int, folder: Path) -> dict[str, float]:
    """Run a stage on drawn images in this process; return its seconds per image and its megabytes."""
    images = folder / f"{count}.zip"
    if not images.exists():
        draw(images, count, SIDES)
    work = {"propose": _propose, "extract": _extract, "evaluate": _evaluate}[stage](images, count, folder)
    start = time.process_time()
    work()
    taken = time.process_time() - start
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    return {"seconds_per_image": float(f"{taken / count:.3g}"), "megabytes": round(peak)}


def _propose(images: Path, count: int, folder: Path) -> Callable[[], object]:
    from src.params import read_params
    from src.proposals.selective_search import propose
    from stages.propose import Params, run

    propose(np.zeros((32, 32, 3), np.uint8))  # loads the kernels
    params = read_params("params.yaml", Params)
    splits = params.splits.model_copy(update=dict.fromkeys(params.splits.model_fields_set, "test"))
    return lambda: run(params.model_copy(update={"splits": splits}), images=images, out=folder / f"{count}.npz")


def _extract(images: Path, count: int, folder: Path) -> Callable[[], object]:
    import torch

    from benchmarks.regions import spread_boxes
    from src.files.boxed_images import BoxedImages
    from src.params import Sections, read_params
    from src.rcnn import network
    from src.rcnn.extract import extract
    from src.rcnn.features import Features, unlabelled
    from src.rcnn.finetune_settings import Finetune
    from src.rcnn.warp import Warp

    class Params(Sections):
        finetune: Finetune
        features: Features
        warp: Warp

    params, data = read_params("params.yaml", Params), BoxedImages(images)
    rules = params.finetune
    net = network.build(rules.backbone, 21, pool=rules.pool, hidden=rules.hidden)
    table = {image_id: unlabelled(spread_boxes(data.size(image_id), REGIONS)) for image_id in data.ids("test")}
    where = {"batch_size": 128, "device": torch.device("cpu"), "jobs": 1}
    return lambda: extract(
        net, data, table, folder / f"{count}.npy", layer=params.features.layer, settings=params.warp, **where
    )


def _evaluate(images: Path, count: int, folder: Path) -> Callable[[], object]:
    from benchmarks.average_precision import draw as drawn
    from src.evaluation.detector_metrics import measure
    from src.files.records import write_records

    detections, targets = drawn(count, FOUND, 20)
    write_records(folder / f"detections_{count}.npz", detections)
    classes = [str(label) for label in range(1, 21)]
    return lambda: measure({"detections": folder / f"detections_{count}.npz"}, targets, classes)


if __name__ == "__main__":
    print(json.dumps(measured(sys.argv[1], int(sys.argv[2]), Path(sys.argv[3]))))
