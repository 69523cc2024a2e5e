"""Measure the recall that remains after near duplicates, or as many random proposals, are removed.

    python -m benchmarks.near_duplicates --images data/prepared/voc.zip --proposals data/proposals/selective_search.npz

The proposals must be made with `selective_search.max_proposals` and `selective_search.nms_thresh` null.
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
    """Print a table: for each threshold, the proposals that NMS keeps, and as many random proposals."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--images", required=True)
    parser.add_argument("--proposals", required=True)
    parser.add_argument("--split", default="test")
    options = parser.parse_args()
    data = BoxedImages(options.images)
    targets = {image_id: data.target(image_id) for image_id in data.ids(options.split)}
    boxes = {image_id: record["boxes"] for image_id, record in read_records(options.proposals, list(targets)).items()}

    def row(choose: Callable[[np.ndarray], np.ndarray]) -> str:
        kept = {image_id: proposals[choose(proposals)] for image_id, proposals in boxes.items()}
        overlaps, labels, _ = best_overlaps(kept, targets)
        count = sum(map(len, kept.values())) / len(kept)
        return f"{count:.0f} | {recall(overlaps, 0.5):.3f} | {recall(overlaps, 0.7):.3f} | {mabo(overlaps, labels):.3f}"

    print("| kept | boxes per image | recall at 0.5 | at 0.7 | MABO |\n|---|---|---|---|---|")
    print(f"| all | {row(lambda proposals: np.arange(len(proposals)))} |")
    for thresh in THRESHS:
        shares = [len(distinct(proposals, thresh)) / len(proposals) for proposals in boxes.values() if len(proposals)]
        share = np.mean(shares)
        print(f"| NMS at {thresh} | {row(lambda proposals, thresh=thresh: distinct(proposals, thresh))} |")
        # Proposals are in random order, so the first ones are a random choice.
        first = row(lambda proposals, share=share: np.arange(round(share * len(proposals))))
        print(f"| random {share:.0%} | {first} |")


if __name__ == "__main__":
    main()
