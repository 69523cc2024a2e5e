"""Compare this project's selective search with OpenCV's, in turns and on one thread.

    python -m benchmarks.selective_search --images data/prepared/voc.zip --count 12 --mode fast

For each image it prints the seconds of both, OpenCV's time over ours (median and range of five pairs), and the share of
all boxes that both find.
"""

import argparse
import time
from collections.abc import Iterator

import cv2
import numpy as np

from benchmarks.pairs import OURS, Row, Setting, photos, raced
from src.files.boxed_images import BoxedImages
from src.proposals.selective_search import propose

PAIRS = 5
ENGINES = ("own", "opencv")


def main() -> None:
    """Print a table with a row per image and one for all."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--images", required=True)
    parser.add_argument("--split", default="test")
    parser.add_argument("--count", type=int, default=12)
    parser.add_argument("--mode", choices=("fast", "quality"), default="fast")
    options = parser.parse_args()
    cv2.setNumThreads(1)
    data = BoxedImages(options.images)
    ids = data.ids(options.split)[: options.count]
    propose(data.image(ids[0]), mode=options.mode)  # compiles the kernels, or loads them if they are compiled
    print("| image | pixels | own | OpenCV | OpenCV / own | boxes of both |\n|---|---|---|---|---|---|")
    rows = [row(image_id, data.image(image_id), options.mode) for image_id in ids]
    own, opencv, ratio, share = np.array(rows).T
    print(
        f"| {len(ids)} images | | {own.mean():.3f} s | {opencv.mean():.3f} s | median {np.median(ratio):.2f} "
        f"({ratio.min():.2f} to {ratio.max():.2f}) | mean {share.mean():.3f}, lowest {share.min():.3f} |"
    )


def rows(setting: Setting) -> Iterator[Row]:
    """Yield the rows of `make bench`: both modes on all photos one after the other."""
    cv2.setNumThreads(1)
    for mode, full in (("fast", 6), ("quality", 2)):
        with photos(setting, setting.size(full, 1)) as (data, ids):
            images = [data.image(image_id) for image_id in ids]
        found = {engine: [boxes_of(image, engine, mode) for image in images] for engine in ENGINES}  # compiles, too
        both = [len(own & other) / len(own | other) for own, other in zip(*found.values(), strict=True)]
        sides = {
            OURS: lambda images=images, mode=mode: [boxes_of(image, "own", mode) for image in images],
            f"OpenCV {cv2.__version__}": lambda images=images, mode=mode: [
                boxes_of(image, "opencv", mode) for image in images
            ],
        }
        note = f"boxes of both: {np.mean(both):.3f} of all, at least {min(both):.3f} per image"
        yield from raced(f"selective search, {mode}, one thread, images: {len(images)}", sides, setting.rounds, note)


def boxes_of(image: np.ndarray, engine: str, mode: str) -> set[tuple[float, ...]]:
    """Return all boxes that an engine finds."""
    return {tuple(box) for box in propose(image, engine=engine, mode=mode, min_side=1).tolist()}


def row(image_id: str, image: np.ndarray, mode: str) -> tuple[float, float, float, float]:
    """Print an image's row and return its median seconds, the ratio and the share of boxes that both find."""
    seconds: dict[str, list[float]] = {engine: [] for engine in ENGINES}
    boxes: dict[str, set[tuple[float, ...]]] = {}
    for number in range(PAIRS):
        for engine in ENGINES if number % 2 == 0 else reversed(ENGINES):
            start = time.perf_counter()
            boxes[engine] = boxes_of(image, engine, mode)
            seconds[engine].append(time.perf_counter() - start)
    own, opencv = (np.array(seconds[engine]) for engine in ENGINES)
    ratios = opencv / own
    share = len(boxes["own"] & boxes["opencv"]) / len(boxes["own"] | boxes["opencv"])
    height, width = image.shape[:2]
    print(
        f"| {image_id} | {width} x {height} | {np.median(own):.3f} s | {np.median(opencv):.3f} s "
        f"| {np.median(ratios):.2f} ({ratios.min():.2f} to {ratios.max():.2f}) | {share:.3f} |",
        flush=True,
    )
    return float(np.median(own)), float(np.median(opencv)), float(np.median(ratios)), share


if __name__ == "__main__":
    main()
