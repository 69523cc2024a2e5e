"""Recall that is left when proposals are thinned out: near duplicates taken away, or a random share.

    python -m benchmarks.near_duplicates --images data/prepared/voc.zip --proposals data/proposals/selective_search.npz

The proposals must be there without a cap (`selective_search.max_proposals` null) and with `nms_thresh` null.
"""

import argparse
from collections.abc import Callable

import numpy as np

from src.evaluation.proposal_recall import best_overlaps, mabo, recall
from src.files.boxed_images import BoxedImages
from src.files.records import read_records
from src.proposals.selective_search import distinct

THRESHS = (0.95, 0.9, 0.85, 0.8, 0.75, 0.7)


def main() -> None:
    """Print a table: for each threshold what NMS leaves, and as many random proposals."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--images", required=True)
    parser.add_argument("--proposals", required=True)
    parser.add_argument("--split", default="test")
    options = parser.parse_args()
    data = BoxedImages(options.images)
    targets = {image_id: data.target(image_id) for image_id in data.ids(options.split)}
    boxes = {image_id: record["boxes"] for image_id, record in read_records(options.proposals, list(targets)).items()}

    def row(choose: Callable[[np.ndarray], np.ndarray]) -> str:
        some = {image_id: found[choose(found)] for image_id, found in boxes.items()}
        overlaps, labels, _ = best_overlaps(some, targets)
        count = sum(map(len, some.values())) / len(some)
        return f"{count:.0f} | {recall(overlaps, 0.5):.3f} | {recall(overlaps, 0.7):.3f} | {mabo(overlaps, labels):.3f}"

    print("| kept | boxes an image | recall at 0.5 | at 0.7 | MABO |\n|---|---|---|---|---|")
    print(f"| all | {row(lambda found: np.arange(len(found)))} |")
    for thresh in THRESHS:
        share = np.mean([len(distinct(found, thresh)) / len(found) for found in boxes.values() if len(found)])
        print(f"| NMS at {thresh} | {row(lambda found, thresh=thresh: distinct(found, thresh))} |")
        print(f"| random {share:.0%} | {row(lambda found, share=share: np.arange(round(share * len(found))))} |")


if __name__ == "__main__":
    main()
