"""Rates of R-CNN's stages on this machine, measured in seconds on few images (benchmarks/rcnn_costs.py).

N regions of an image, C classes, D numbers per region.
"""

import argparse
from functools import partial
from pathlib import Path

import numpy as np
import torch
from torch.nn import functional

from benchmarks.pairs import PHOTO, seconds, sparse
from src.files.boxed_images import BoxedImages
from src.parallel import parallel_map
from src.proposals import selective_search
from src.rcnn import coordinate_descent, network
from src.rcnn.detect import DetectRcnn, detect
from src.rcnn.extract import extract
from src.rcnn.features import unlabelled
from src.rcnn.mining import TrainSvm, candidates
from src.rcnn.penalty import FOLDS
from src.rcnn.planes import BLOCK, Plane, scores
from src.rcnn.warp import Warp

REGIONS = (10, 60)  # per image, in the two measurements whose difference is the time of a region
ROUNDS = 3  # of which the fastest counts, because other programs only slow a measurement


def searching(options: argparse.Namespace, data: BoxedImages, ids: list[str]) -> float:
    """Measure selective search in `jobs` processes: seconds of a process per image."""
    settings = {"width": options.width or None, "min_side": 16, "nms_thresh": options.nms}
    find = partial(search, data, settings)
    parallel_map(find, ids[: options.jobs], options.jobs, "first search")  # starts the processes
    return seconds(lambda: parallel_map(find, ids, options.jobs, "search")) * options.jobs / len(ids)


def search(data: BoxedImages, settings: dict, image_id: str) -> int:
    """Search one image, and return the number of its proposals."""
    return len(selective_search.propose(data.image(image_id), **settings, image_id=image_id))


def stepping(options: argparse.Namespace, whole: bool) -> float:
    """Measure a step of fine-tuning with 128 regions: of the whole network, or of its fully connected layers alone."""
    net = network.build(options.backbone, options.classes + 1, pool=options.pool, hidden=options.hidden)
    crops, labels = torch.rand(128, 3, options.size, options.size), torch.zeros(128, dtype=torch.int64)
    pool5 = torch.rand(128, *network.widths(net, "pool5"))
    optimizer = torch.optim.AdamW(net.parameters(), fused=True)

    def step() -> None:
        optimizer.zero_grad()
        functional.cross_entropy(net(crops) if whole else net.classifier(pool5), labels).backward()  # type: ignore[operator]
        optimizer.step()

    return min(seconds(step) for _ in range(ROUNDS))


def describing(
    options: argparse.Namespace, data: BoxedImages, ids: list[str], folder: Path
) -> tuple[float, float, int]:
    """Measure extraction in `jobs` processes: seconds of a process per image and per region, and D."""
    net = network.build(options.backbone, options.classes + 1, pool=options.pool, hidden=options.hidden)
    rng = np.random.default_rng(0)

    def described(count: int) -> float:
        records = {name: unlabelled(boxes(rng, count, data.image(name).shape[:2])) for name in ids}
        settings = Warp(size=options.size, context=options.context)
        where = {"batch_size": 128, "device": torch.device("cpu"), "jobs": options.jobs}
        where["map_side"] = options.map_side or None
        run = partial(extract, net, data, records, folder / "f.npy", layer=options.layer, settings=settings, **where)
        return seconds(run) * options.jobs / len(ids)  # of a process, per image

    described(1)  # starts the processes
    few, many = (min(described(count) for _ in range(ROUNDS)) for count in REGIONS)
    region = (many - few) / (REGIONS[1] - REGIONS[0])
    return max(few - REGIONS[0] * region, 0.0), region, sum(network.widths(net, options.layer))


def boxes(rng: np.random.Generator, count: int, size: tuple[int, ...] = PHOTO) -> np.ndarray:
    """Draw boxes [N, 4] inside a photo of (height, width) `size`, from 20 pixels to half of its side."""
    sides = rng.uniform(20, np.array(size[::-1]) / 2, (count, 2))
    corners = rng.uniform(0, np.array(size[::-1]) - sides)
    return np.concatenate([corners, corners + sides], axis=1).astype(np.float32)


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
