"""How well the proposals cover the objects of the test split, and how well as many sliding windows do."""

import math
from pathlib import Path

import pandas as pd

from src.evaluation.bootstrap import draws, standard_errors
from src.evaluation.proposal_recall import Evaluate, best_overlaps, mabo, recall, sliding_window
from src.evaluation.resampled_proposals import of_proposals
from src.files.boxed_images import Samples
from src.files.records import read_records
from src.files.storage import write_csv, write_json
from src.params import Sections
from src.splits import Splits
from stages.command import command

IOU_THRESHS = [percent / 100 for percent in range(50, 100, 5)]
COUNTS = [1, 2, 5, 10, 20, 50, 100, 200, 500, 1000, 2000, 5000]


class Params(Sections):
    """What this stage reads of params.yaml."""

    splits: Splits
    evaluate: Evaluate


def run(params: Params, *, samples: Path, proposals: Path, out: Path, curves: Path, counts: Path) -> None:
    """Write the metrics, recall by IoU threshold (`curves`), and recall by number of proposals (`counts`)."""
    data = Samples(samples)
    targets = {image_id: data.target(image_id) for image_id in data.ids(params.splits.test)}
    boxes = {image_id: record["boxes"] for image_id, record in read_records(proposals, list(targets)).items()}
    windows = {image_id: sliding_window(data.size(image_id), len(found)) for image_id, found in boxes.items()}
    overlaps, labels, _ = best_overlaps(boxes, targets)
    baseline = best_overlaps(windows, targets).overlaps
    metrics = {
        "recall_50": recall(overlaps, 0.5),
        "recall_70": recall(overlaps, 0.7),
        "mabo": mabo(overlaps, labels),
        "proposals_per_image": sum(map(len, boxes.values())) / len(boxes),
        **{
            f"recall_50_at_{k}": recall(best_overlaps(boxes, targets, k).overlaps, 0.5)
            for k in params.evaluate.recall_at
        },
        "recall_50_sliding_window": recall(baseline, 0.5),
        "recall_70_sliding_window": recall(baseline, 0.7),
    }
    known = {name: None if math.isnan(value) else value for name, value in metrics.items()}
    errors = standard_errors(of_proposals(boxes, targets, params.evaluate.recall_at, draws(len(targets))))
    write_json(out, {**known, "standard_error": errors, "images": len(targets), "objects": len(overlaps)})
    by_iou = [(thresh, recall(overlaps, thresh), recall(baseline, thresh)) for thresh in IOU_THRESHS]
    write_csv(curves, pd.DataFrame(by_iou, columns=["iou", "recall", "sliding_window"]))
    most = max(map(len, boxes.values()))
    rows = []
    for k in [*(k for k in COUNTS if k < most), most]:
        firsts = best_overlaps(boxes, targets, k).overlaps
        windows = {image_id: sliding_window(data.size(image_id), min(k, len(boxes[image_id]))) for image_id in boxes}
        of_windows = best_overlaps(windows, targets).overlaps
        rows.append((k, recall(firsts, 0.5), recall(firsts, 0.7), recall(of_windows, 0.5)))
    write_csv(counts, pd.DataFrame(rows, columns=["proposals", "recall_50", "recall_70", "sliding_window_50"]))
    print(", ".join(f"{name} {value:.3f}" for name, value in metrics.items()))


if __name__ == "__main__":
    command(run)
