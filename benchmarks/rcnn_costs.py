"""Predict the time, disk and memory of R-CNN's stages from rates measured on this machine in a few minutes.

    python -m benchmarks.rcnn_costs --images 5011 --test-images 4952 --regions 1100 --classes 20 --layer fc7

The rates come from the stages' own functions (benchmarks/rcnn_rates.py), on drawn scenes with the size of VOC's photos,
or on photos. The negatives of an SVM and its fits depend on the data: metrics/rounds.csv of a run on a part of the data
shows them. docs/running.md has the formula.
"""

import argparse
import os
import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np

from benchmarks import rcnn_rates as rates
from benchmarks.pairs import Setting, photos, seconds
from src.rcnn.extract import CHUNK
from src.rcnn.planes import BLOCK
from stages.environment import jobs

FIT_ROWS = 6000  # of the larger measured fit; the other has a quarter
BATCH = 128  # regions of a step of fine-tuning


def main() -> None:
    """Print a table in Markdown: a row per stage."""
    options = arguments()
    jobs, size = options.jobs, Setting(quick=False, rounds=1, images=options.photos)
    start = seconds(
        lambda: subprocess.run([sys.executable, "-m", "stages.score_rcnn", "-h"], stdout=subprocess.DEVNULL, check=True)
    )
    with tempfile.TemporaryDirectory() as folder, photos(size, CHUNK * jobs) as (data, ids):
        search = rates.searching(options, data, ids)
        image, region, width = rates.describing(options, data, ids, Path(folder))
        look = rates.looking(width, options.classes, Path(folder))
    step = rates.stepping(options, whole=not options.still)
    svm, growth = _fit(options.held, width)
    match = options.images * rates.matching(options.regions, options.classes)
    pairs = options.images * options.objects * options.pairs / options.classes
    rows, test_rows = options.images * (options.regions + options.objects), options.test_images * options.regions
    drawn = (options.images * image + min(options.steps * BATCH, 2 * rows) * region) / jobs if options.still else 0.0
    fits = np.ceil(options.classes / jobs) * options.fits * svm
    table = {
        "propose": start + (options.images + options.test_images) * search / jobs,
        "finetune": start + drawn + options.steps * step,
        "extract_features": start + (options.images * image + rows * region) / jobs,
        "train_svm": start + match + options.rounds * rows * look + fits,
        "train_bbox": start + match + options.classes * rates.regressing(pairs, width, options.penalties),
        "score_rcnn": start + (options.test_images * image + test_rows * (region + look)) / jobs,
        "detect_rcnn": start + options.test_images * rates.detecting(options.regions, options.classes),
    }
    print(
        f"start of a stage {start:.1f} s; search {search:.2f} s per process; step of fine-tuning {step:.2f} s; "
        f"image {image * 1e3:.1f} ms, region {region * 1e3:.2f} ms per process; pass {look * 1e6:.1f} us per region; "
        f"fit of {options.held} negatives {svm:.1f} s (rows to the {growth:.2f})\n"
    )
    print("| stage | time | per region and class | disk |\n|---|---|---|---|")
    disk = {"extract_features": rows * width * 2, "score_rcnn": test_rows * options.classes * 5 * 4}
    for name, value in table.items():
        count = (test_rows if name in ("score_rcnn", "detect_rcnn") else rows) * options.classes
        print(f"| `{name}` | {value / 60:.1f} min | {value / count * 1e6:.2f} us | {disk.get(name, 0) / 1e9:.1f} GB |")
    print(f"| all | {sum(table.values()) / 60:.1f} min | | {sum(disk.values()) / 1e9:.1f} GB |")
    held = (options.max_held + options.images * options.objects / options.classes) * width
    print(f"\nmemory of a fit: at most {4 * held / 1e9:.2f} GB per process, {jobs} processes; ", end="")
    print(f"rows of the pools {rows * options.classes * 4 / 1e9:.2f} GB; a block {BLOCK * width * 6 / 1e9:.2f} GB")


def _fit(negatives: int, width: int) -> tuple[float, float]:
    """Return the seconds of a fit to so many negatives, and the power of the rows with which they grow."""
    small, large = (min(rates.fitting(rows, width) for _ in "ab") for rows in (FIT_ROWS // 4, FIT_ROWS))
    growth = float(np.clip(np.log(large / small) / np.log(4), 0.8, 2))
    return large * (negatives / FIT_ROWS) ** growth, growth


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
        ("steps", 2400, "steps of fine-tuning: finetune.train.epochs x batches_per_epoch"),
        ("pool", 6, "finetune.pool"),
        ("hidden", 4096, "finetune.hidden"),
        ("size", 227, "warp.size"),
        ("context", 16, "warp.context"),
        ("map-side", 0, "features.map_side with features.from=map; 0: features.from=warp"),
        ("width", 500, "selective_search.width; 0: the images as they are"),
        ("jobs", jobs(), "JOBS"),
    ):
        parser.add_argument(f"--{name}", type=type(value), default=value, help=f"{text} (%(default)s)")
    parser.add_argument("--nms", type=float, default=None, help="selective_search.nms_thresh (none)")
    parser.add_argument("--still", action="store_true", help="finetune.train_convolutions=false, on the same regions")
    parser.add_argument("--photos", type=Path, help="data/prepared/voc.zip, to measure on photos (drawn scenes)")
    parser.add_argument("--backbone", default="alexnet")
    parser.add_argument("--layer", default="fc7")
    return parser.parse_args()


if __name__ == "__main__":
    os.environ.setdefault("DEVICE", "cpu")
    main()
