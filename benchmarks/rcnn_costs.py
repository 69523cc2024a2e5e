"""Predict the time, disk and memory of R-CNN's stages from rates measured on this machine in a few minutes.

    python -m benchmarks.rcnn_costs --images 5011 --test-images 4952 --regions 1100 --classes 20 --layer fc7

The rates come from the stages' own functions, on drawn scenes with the size of VOC's photos. The negatives of an SVM
and its fits depend on the data: metrics/rounds.csv of a run on a part of the data shows them. docs/running.md has the
formula. N regions of an image, R regions in all, C classes, D numbers per region, J jobs.
"""

import argparse
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path

import cv2
import numpy as np
import torch

from src.files.boxed_images import BoxedImages
from src.files.prepared import write_prepared
from src.ingest.drawn.painting import jpeg
from src.ingest.drawn.scenes import scene
from src.rcnn import coordinate_descent, network
from src.rcnn.detect import DetectRcnn, detect
from src.rcnn.extract import CHUNK, extract
from src.rcnn.features import unlabelled
from src.rcnn.mining import TrainSvm, candidates
from src.rcnn.penalty import FOLDS
from src.rcnn.planes import BLOCK, Plane, scores
from src.rcnn.warp import Warp
from stages.environment import jobs

PHOTO = (375, 500)  # height, width
REGIONS = (10, 60)  # per image, in the two measurements whose difference is the time of a region
FIT_ROWS = 6000  # of the larger measured fit; the other has a quarter


def main() -> None:
    """Print a table in Markdown: a row per stage."""
    options = arguments()
    with tempfile.TemporaryDirectory() as folder:
        start = seconds(
            lambda: subprocess.run(
                [sys.executable, "-m", "stages.score_rcnn", "-h"], stdout=subprocess.DEVNULL, check=True
            )
        )
        image, region, width = describing(options, Path(folder))
        look = looking(width, options.classes, Path(folder))
    small, large = (min(fitting(rows, width) for _ in range(2)) for rows in (FIT_ROWS // 4, FIT_ROWS))
    growth = float(np.clip(np.log(large / small) / np.log(4), 0.8, 2))
    svm = large * (options.held / FIT_ROWS) ** growth
    match = options.images * matching(options.regions, options.classes)
    pairs = options.images * options.objects * options.pairs / options.classes
    rows, test_rows = options.images * (options.regions + options.objects), options.test_images * options.regions
    table = {
        "extract_features": start + (options.images * image + rows * region) / options.jobs,
        "train_svm": start
        + match
        + options.rounds * rows * look
        + np.ceil(options.classes / options.jobs) * options.fits * svm,
        "train_bbox": start + match + options.classes * regressing(pairs, width, options.penalties),
        "score_rcnn": start + (options.test_images * image + test_rows * (region + look)) / options.jobs,
        "detect_rcnn": start + options.test_images * detecting(options.regions, options.classes),
    }
    print(
        f"start of a stage {start:.1f} s; image {image * 1e3:.1f} ms, region {region * 1e3:.2f} ms per process; ",
        end="",
    )
    print(
        f"pass {look * 1e6:.1f} us per region; fit of {options.held} negatives {svm:.1f} s (rows to the {growth:.2f})\n"
    )
    print("| stage | time | per region and class | disk |\n|---|---|---|---|")
    disk = {"extract_features": rows * width * 2, "score_rcnn": test_rows * options.classes * 5 * 4}
    for name, value in table.items():
        count = (test_rows if name in ("score_rcnn", "detect_rcnn") else rows) * options.classes
        print(f"| `{name}` | {value / 60:.1f} min | {value / count * 1e6:.2f} us | {disk.get(name, 0) / 1e9:.1f} GB |")
    print(f"| all | {sum(table.values()) / 60:.1f} min | | {sum(disk.values()) / 1e9:.1f} GB |")
    fits = (options.max_held + options.images * options.objects / options.classes) * width
    print(
        f"\nmemory of a fit: {4 * fits / 1e9:.2f} GB per process, {options.jobs} processes; ",
        end="",
    )
    print(f"rows of the pools {rows * options.classes * 4 / 1e9:.2f} GB; a block {BLOCK * width * 6 / 1e9:.2f} GB")


def arguments() -> argparse.Namespace:
    """Read the command line; the defaults are those of the official VOC 2007."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    for name, value, text in (
        ("images", 5011, "training images"),
        ("test-images", 4952, "test images"),
        ("regions", 1100, "proposals per image"),
        ("objects", 2.5, "objects per image"),
        ("pairs", 10.0, "proposals per object with an IoU above train_bbox.iou_thresh"),
        ("classes", 20, "without background"),
        ("rounds", 2, "train_svm.rounds"),
        ("max-held", 50_000, "train_svm.max_held"),
        ("held", 5000, "negatives of a typical fit"),
        ("fits", 8, "per class, first fit included"),
        ("penalties", 4, "length of train_bbox.ridge_lambda"),
        ("hidden", 4096, "finetune.hidden"),
        ("size", 227, "warp.size"),
        ("context", 16, "warp.context"),
        ("jobs", jobs(), "JOBS"),
    ):
        parser.add_argument(f"--{name}", type=type(value), default=value, help=f"{text} (%(default)s)")
    parser.add_argument("--backbone", default="alexnet")
    parser.add_argument("--layer", default="fc7")
    return parser.parse_args()


def seconds(action: Callable[[], object]) -> float:
    """Return the wall-clock seconds of an action."""
    start = time.perf_counter()
    action()
    return time.perf_counter() - start


def describing(options: argparse.Namespace, folder: Path) -> tuple[float, float, int]:
    """Measure extraction in `jobs` processes: seconds of a process per image and per region, and D."""
    ids = [f"{number:06}" for number in range(CHUNK * options.jobs)]
    entry = {"height": PHOTO[0], "width": PHOTO[1], "boxes": [], "labels": [], "difficult": []}
    pictures = (jpeg(cv2.resize(scene(0, number)[0], PHOTO[::-1])) for number in range(len(ids)))
    images = {name: {**entry, "file": f"{name}.jpg"} for name in ids}
    contents = ((f"{name}.jpg", picture) for name, picture in zip(ids, pictures, strict=True))
    write_prepared(folder / "voc.zip", ["thing"], {"test": ids}, images, contents)
    net = network.build(options.backbone, options.classes + 1, hidden=options.hidden)
    rng = np.random.default_rng(0)

    def described(count: int) -> float:
        records = {name: unlabelled(boxes(rng, count)) for name in ids}
        settings = Warp(size=options.size, context=options.context)
        where = {"batch_size": 128, "device": torch.device("cpu"), "jobs": options.jobs}
        data = BoxedImages(folder / "voc.zip")
        run = partial(extract, net, data, records, folder / "f.npy", layer=options.layer, settings=settings, **where)
        return seconds(run) * options.jobs / len(ids)  # of a process, per image

    described(1)  # starts the processes
    few, many = (described(count) for count in REGIONS)
    region = (many - few) / (REGIONS[1] - REGIONS[0])
    return max(few - REGIONS[0] * region, 0.0), region, sum(network.widths(net, options.layer))


def boxes(rng: np.random.Generator, count: int) -> np.ndarray:
    """Draw boxes [N, 4] inside a photo, from 20 pixels to half of its side."""
    sides = rng.uniform(20, np.array(PHOTO[::-1]) / 2, (count, 2))
    corners = rng.uniform(0, np.array(PHOTO[::-1]) - sides)
    return np.concatenate([corners, corners + sides], axis=1).astype(np.float32)


def sparse(count: int, width: int, shift: float) -> np.ndarray:
    """Draw features, float32 [N, D], like those after a ReLU: a quarter is above 0, and the mean norm is about 20."""
    rng = np.random.default_rng(count)
    x = np.maximum(
        rng.standard_normal((count, width), np.float32) - 0.7 + np.float32(shift) * (np.arange(width) % 8 == 0), 0
    )
    return x * np.float32(20 / np.linalg.norm(x, axis=1).mean())


def looking(width: int, num_classes: int, folder: Path) -> float:
    """Measure the seconds per region of a pass: read features from a file and score them for all classes."""
    np.save(folder / "block.npy", sparse(BLOCK, width, 0.0).astype(np.float16))
    planes, scale = [Plane(np.ones(width, np.float32), 0.0)] * num_classes, np.ones(width, np.float32)
    return (
        min(seconds(lambda: scores(np.load(folder / "block.npy", mmap_mode="r"), planes, scale)) for _ in "ab") / BLOCK
    )


def matching(regions: int, num_classes: int) -> float:
    """Measure the seconds per image that the candidates of all classes take."""
    rules = TrainSvm.model_construct(
        neg_iou_thresh=0.3, neg_iou_zero=True, neg_min_area=0.0, only_images_with_objects=False
    )
    found = boxes(np.random.default_rng(0), regions)
    objects = {"boxes": found[:2], "labels": np.array([1, 2]), "difficult": np.zeros(2, bool), "image_id": ""}
    records = {"a": {**unlabelled(found), "is_gt": np.arange(regions) < 2}}
    labels = range(1, num_classes + 1)
    return seconds(lambda: [candidates(records, {"a": objects}, label, rules) for label in labels])


def fitting(negatives: int, width: int) -> float:
    """Measure a fit to negatives and a tenth as many positives, with the settings of rcnn's code, from duals of 0."""
    positives = negatives // 10
    x = np.concatenate([sparse(positives, width, 0.3), sparse(negatives, width, 0.0)])
    y = np.repeat(np.array([1, -1], np.float32), [positives, negatives])
    return seconds(
        lambda: coordinate_descent.fit(x, y, np.zeros(len(y)), c=0.001, weight=2.0, bias_multiplier=10.0, seed=0)
    )


def regressing(pairs: float, width: int, num_penalties: int) -> float:
    """Measure a product of matrices and the solution of a system; count those of the choice and of the fit."""
    side = 1024
    x = sparse(2 * side, side, 0.0).astype(np.float64)
    square = x.T @ x + 1000 * np.eye(side)
    product = min(seconds(lambda: x.T @ x) for _ in range(3)) / x.size / side
    solution = min(seconds(lambda: np.linalg.solve(square, x[:side, :4])) for _ in range(3)) / side**3
    smaller, several = min(pairs, width), num_penalties > 1  # the side of the systems
    products, systems = 1 + several, 1 + FOLDS * num_penalties * several
    return products * pairs * width * smaller * product + systems * smaller**3 * solution


def detecting(regions: int, num_classes: int) -> float:
    """Measure the three variants of detection in an image."""
    rng = np.random.default_rng(0)
    proposals, image_scores = boxes(rng, regions), rng.normal(-2, 0.7, (regions, num_classes)).astype(np.float32)
    deltas = rng.normal(0, 0.1, (regions, num_classes, 4)).astype(np.float32)
    settings = DetectRcnn(score_thresh=-3.0, nms_thresh=0.3, max_per_image=100)
    variants = (deltas, None, None)
    return sum(
        seconds(lambda moves=moves: detect(proposals, image_scores, settings, size=PHOTO, deltas=moves))
        for moves in variants
    )


if __name__ == "__main__":
    os.environ.setdefault("DEVICE", "cpu")
    main()
