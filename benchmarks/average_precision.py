"""Compare the time of COCO AP with faster-coco-eval's, and with hotcoco's and pycocotools' if they are installed.

    python -m benchmarks.average_precision --images 5000 --per-image 100 --classes 20 --pairs 5

Detections and objects are drawn at random: per image one to a few objects, three detections near each, and the rest
anywhere. Ours starts from arrays per image, as the stage does. A peer starts from a list of dicts, its own form; the
second column is without the reading of that list. Each peer is asked for the same figures only: objects of all sizes,
100 detections per image. Pairs take turns at going first. The ratio is the peer's time over ours, the median over the
pairs and their range. A difference of 0 means the same AP of each class.
"""

import argparse
import contextlib
import importlib
import io
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import partial
from typing import Any, NamedTuple

import numpy as np

from benchmarks.pairs import OURS, Row, Setting, in_turns, missing, raced
from benchmarks.pairs import row as pair_row
from benchmarks.usual_voc_ap import usual_voc_ap
from src.boxes.target import Targets
from src.evaluation.average_precision import coco_ap, voc07, voc12, voc_curves
from src.evaluation.outcomes import COCO_MAX_PER_IMAGE, Detections, coco_outcomes

PEERS = {"faster_coco_eval": "COCOeval_faster", "hotcoco": "COCOeval", "pycocotools": "COCOeval"}


class Timed(NamedTuple):
    """The AP of each class, and the seconds that it took."""

    aps: np.ndarray
    seconds: float  # from the input to the figures
    evaluation: float  # the same without reading the input


def main() -> None:
    """Print a table with a row per peer."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--images", type=int, default=5000)
    parser.add_argument("--per-image", type=int, default=100)
    parser.add_argument("--classes", type=int, default=20)
    parser.add_argument("--pairs", type=int, default=5)
    parser.add_argument("--peers", nargs="*", choices=PEERS, default=list(PEERS))
    options = parser.parse_args()
    detections, targets = draw(options.images, options.per_image, options.classes)
    classes = [str(label) for label in range(1, options.classes + 1)]
    seconds = [voc(detections, targets, classes) for _ in range(options.pairs)]
    print(f"VOC AP of 2007 and 2012, ours: {_median(seconds)}\n")
    print("| COCO AP | ours | peer | peer, evaluation alone | peer / ours | ... alone | largest difference |")
    print("|---|---|---|---|---|---|---|")
    truth, results = as_coco(detections, targets, classes)
    for peer in options.peers:
        try:
            importlib.import_module(peer)
        except ImportError:
            print(f"| {peer} is not installed | | | | | | |")
            continue
        pairs = timed_in_turns(
            partial(coco, detections, targets, classes), partial(theirs, peer, truth, results), options.pairs
        )
        print(row(peer, pairs), flush=True)


def timed_in_turns(ours: Callable[[], Timed], peers: Callable[[], Timed], rounds: int) -> list[tuple[Timed, Timed]]:
    """Run both in turns, and return (ours, theirs) of each round."""
    found: dict[str, list[Timed]] = {"ours": [], "theirs": []}

    def run(side: str) -> float:
        found[side].append(ours() if side == "ours" else peers())
        return found[side][-1].seconds

    in_turns({side: partial(run, side) for side in found}, rounds)
    return list(zip(*found.values(), strict=True))


def rows(setting: Setting) -> Iterator[Row]:
    """Yield the rows of `make bench`: VOC AP beside the usual loop, COCO AP beside each peer that is installed."""
    images = setting.size(5000, 200)
    detections, targets = draw(images, 100, 20)
    classes = [str(label) for label in range(1, 21)]
    sides = {
        OURS: lambda: voc07_aps(detections, targets, classes),
        "the usual loop": lambda: usual_voc_ap(detections, targets, len(classes)),
    }
    ours, usual = (side() for side in sides.values())
    note = f"largest difference {np.nanmax(np.abs(np.array(ours) - np.array(usual))):.1g}"
    yield from raced(f"VOC AP of 2007, {images} images", sides, setting.rounds, note)
    truth, results = as_coco(detections, targets, classes)
    for peer in PEERS:
        try:
            name = f"{peer} {importlib.import_module(peer).__version__}"
        except ImportError:
            yield missing(f"COCO AP, {images} images", peer, "not installed")
            continue
        except AttributeError:
            name = peer
        pairs = timed_in_turns(
            partial(coco, detections, targets, classes), partial(theirs, peer, truth, results), setting.rounds
        )
        note = f"largest difference {np.nanmax(np.abs(pairs[0][0].aps - pairs[0][1].aps)):.1g}"
        ours_seconds = np.array([ours.seconds for ours, _ in pairs])
        for words, part in (("", "seconds"), (", without reading its list", "evaluation")):
            their_seconds = np.array([getattr(peers, part) for _, peers in pairs])
            yield pair_row(f"COCO AP, {images} images{words}", name, ours_seconds, their_seconds, note)


def row(peer: str, pairs: Sequence[tuple[Timed, Timed]]) -> str:
    """Write a peer's row from (ours, theirs) of each pair."""
    ours, peers = zip(*pairs, strict=True)
    return (
        f"| {peer} | {_median([one.seconds for one in ours])} | {_median([one.seconds for one in peers])} "
        f"| {_median([one.evaluation for one in peers])} "
        f"| {_median([their.seconds / our.seconds for our, their in pairs], unit='')} "
        f"| {_median([their.evaluation / our.seconds for our, their in pairs], unit='')} "
        f"| {np.nanmax(np.abs(ours[0].aps - peers[0].aps)):.1g} |"
    )


def draw(images: int, per_image: int, classes: int, seed: int = 0) -> tuple[Detections, Targets]:
    """Draw detections and objects; a tenth of the objects is difficult."""
    rng = np.random.default_rng(seed)
    detections, targets = {}, {}
    for image_id in [f"{number:06d}" for number in range(images)]:
        objects = 1 + rng.poisson(1.8)
        gt_boxes, gt_labels = _boxes(rng, objects), rng.integers(1, classes + 1, objects)
        chosen = rng.integers(0, objects, min(3 * objects, per_image))
        near = gt_boxes[chosen] + rng.normal(0, 8, (len(chosen), 4))
        near[:, 2:] = np.maximum(near[:, 2:], near[:, :2] + 2)
        rest = per_image - len(chosen)
        targets[image_id] = {"boxes": gt_boxes, "labels": gt_labels, "difficult": rng.random(objects) < 0.1}
        detections[image_id] = {
            "boxes": np.concatenate([near, _boxes(rng, rest)]).astype(np.float32),
            "labels": np.concatenate([gt_labels[chosen], rng.integers(1, classes + 1, rest)]),
            "scores": np.concatenate([rng.beta(4, 2, len(chosen)), rng.beta(1, 6, rest)]).astype(np.float32),
        }
    return detections, targets


def as_coco(
    detections: Detections, targets: Targets, classes: Sequence[str]
) -> tuple[dict[str, Any], list[dict[str, Any]]]:
    """Return ground truth and results in COCO's form; difficult objects are crowds."""
    numbers = {image_id: number for number, image_id in enumerate(sorted(targets), start=1)}
    objects = [
        {**box, "area": box["bbox"][2] * box["bbox"][3], "iscrowd": int(difficult)}
        for image_id, target in targets.items()
        for box, difficult in zip(_dicts(numbers[image_id], target), target["difficult"], strict=True)
    ]
    truth = {
        "info": {},
        "images": [{"id": number, "width": 600, "height": 480} for number in numbers.values()],
        "categories": [{"id": label, "name": name} for label, name in enumerate(classes, start=1)],
        "annotations": [{"id": number, **one} for number, one in enumerate(objects, start=1)],
    }
    results = [
        {**box, "score": score}
        for image_id, record in detections.items()
        for box, score in zip(_dicts(numbers[image_id], record), record["scores"].tolist(), strict=True)
    ]
    return truth, results


def voc(detections: Detections, targets: Targets, classes: Sequence[str]) -> float:
    """Return the seconds of both VOC APs of all classes."""
    start = time.perf_counter()
    for curve in voc_curves(detections, targets, classes).values():
        voc07(curve), voc12(curve)
    return time.perf_counter() - start


def voc07_aps(detections: Detections, targets: Targets, classes: Sequence[str]) -> list[float]:
    """Compute the AP of VOC 2007 of each class with this project's code."""
    return [voc07(curve) for curve in voc_curves(detections, targets, classes).values()]


def coco(detections: Detections, targets: Targets, classes: Sequence[str]) -> Timed:
    """Compute COCO AP with this project's code."""
    start = time.perf_counter()
    aps = np.array(list(coco_ap(coco_outcomes(detections, targets, classes)).values()))
    seconds = time.perf_counter() - start
    return Timed(aps, seconds, seconds)


def theirs(peer: str, truth: dict[str, Any], results: list[dict[str, Any]]) -> Timed:
    """Compute COCO AP with a peer, on copies of the dicts, because it may write into them."""
    truth = {**truth, "annotations": [dict(one) for one in truth["annotations"]]}
    results = [dict(one) for one in results]
    dataset, evaluator = _classes(peer)
    with contextlib.redirect_stdout(io.StringIO()):
        start = time.perf_counter()
        gt = dataset(truth) if peer != "pycocotools" else dataset()
        if peer == "pycocotools":  # its constructor reads files only
            gt.dataset = truth
            gt.createIndex()
        evaluation = evaluator(gt, gt.loadRes(results), "bbox")
        evaluation.params.areaRng, evaluation.params.areaRngLbl = [[0, 1e10]], ["all"]
        evaluation.params.maxDets = [COCO_MAX_PER_IMAGE]
        read = time.perf_counter()
        evaluation.evaluate()
        evaluation.accumulate()
        end = time.perf_counter()
    precision = np.array(evaluation.eval["precision"])[:, :, :, 0, -1]  # [T, recalls, classes]
    return Timed(np.where(precision < 0, np.nan, precision).mean(axis=(0, 1)), end - start, end - read)


def _classes(peer: str) -> tuple[Any, Any]:
    if peer == "pycocotools":
        return importlib.import_module("pycocotools.coco").COCO, importlib.import_module(
            "pycocotools.cocoeval"
        ).COCOeval
    module = importlib.import_module(peer)
    return module.COCO, getattr(module, PEERS[peer])


def _boxes(rng: np.random.Generator, count: int) -> np.ndarray:
    corners = rng.uniform(0, [400, 280], (count, 2))
    return np.concatenate([corners, corners + rng.uniform(15, 200, (count, 2))], axis=1).astype(np.float32)


def _dicts(number: int, record: Mapping[str, Any]) -> list[dict[str, Any]]:
    return [
        {"image_id": number, "category_id": label, "bbox": [x1, y1, x2 - x1, y2 - y1]}
        for (x1, y1, x2, y2), label in zip(record["boxes"].tolist(), record["labels"].tolist(), strict=True)
    ]


def _median(values: Sequence[float], unit: str = " s") -> str:
    return f"{np.median(values):.2f}{unit} ({min(values):.2f} to {max(values):.2f})"


if __name__ == "__main__":
    main()
