"""Measure selective search with and without texture, and its first boxes in random order and in the paper's ranking.

    python -m benchmarks.search_choices --images data/prepared/voc.zip --split test --count 60

Recall, MABO and boxes are those of all boxes of each photo, at the given width and smallest side. The seconds are
processor time, one photo after the other, with both choices in turns.
"""

import argparse
import time
from collections.abc import Mapping

import cv2
import numpy as np

from src.boxes.target import Targets
from src.evaluation.proposal_recall import best_overlaps, mabo, recall
from src.files.boxed_images import BoxedImages
from src.proposals.selective_search import propose

FIRST = (10, 100, 300, 1000)


def main() -> None:
    """Print two tables in Markdown."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--images", required=True)
    parser.add_argument("--split", default="test")
    parser.add_argument("--count", type=int, default=60)
    parser.add_argument("--mode", choices=("fast", "quality"), default="fast")
    parser.add_argument("--width", type=int)
    parser.add_argument("--min-side", type=int, default=20)
    options = parser.parse_args()
    cv2.setNumThreads(1)
    data = BoxedImages(options.images)
    ids = data.ids(options.split)[: options.count]
    targets = {image_id: data.target(image_id) for image_id in ids}
    kinds = {"with texture": {}, "without texture": {"texture": False}, "ranked": {"ranked": True}}
    found: dict[str, dict[str, np.ndarray]] = {kind: {} for kind in kinds}
    seconds = dict.fromkeys(kinds, 0.0)
    rules = {"mode": options.mode, "width": options.width, "min_side": options.min_side}
    propose(data.image(ids[0]), mode=options.mode)  # loads the kernels
    for number, image_id in enumerate(ids):
        image = data.image(image_id)
        for kind in kinds if number % 2 == 0 else reversed(kinds):
            start = time.process_time()
            found[kind][image_id] = propose(image, **rules, **kinds[kind], image_id=image_id)
            seconds[kind] += time.process_time() - start
        print(f"{number + 1} of {len(ids)}", end="\r", flush=True)
    print("| search | recall at 0.5 | at 0.7 | MABO | boxes per image | s per image |\n|---|---|---|---|---|---|")
    for kind in ("with texture", "without texture"):
        print(f"| {kind} | {_figures(found[kind], targets)} | {seconds[kind] / len(ids):.3f} |")
    print("\n| recall at 0.5 / at 0.7 of the first | " + " | ".join(map(str, FIRST)) + " |")
    print("|---" * (len(FIRST) + 1) + "|")
    for kind, words in (("with texture", "random order"), ("ranked", "the paper's ranking")):
        covered = [best_overlaps(found[kind], targets, first)[0] for first in FIRST]
        print(f"| {words} | " + " | ".join(f"{recall(o, 0.5):.3f} / {recall(o, 0.7):.3f}" for o in covered) + " |")


def _figures(boxes: Mapping[str, np.ndarray], targets: Targets) -> str:
    overlaps, labels, _ = best_overlaps(boxes, targets)
    count = sum(map(len, boxes.values())) / len(boxes)
    return f"{recall(overlaps, 0.5):.3f} | {recall(overlaps, 0.7):.3f} | {mabo(overlaps, labels):.3f} | {count:.0f}"


if __name__ == "__main__":
    main()
