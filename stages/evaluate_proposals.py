"""Measure how well proposals cover the objects of the test split, compared with as many sliding windows."""

from pathlib import Path

from src.evaluation.proposal_recall import Evaluate
from src.files.boxed_images import BoxedImages
from src.files.records import read_records
from src.files.storage import write_csv, write_json
from src.params import Sections
from src.splits import Splits
from stages.command import command


class Params(Sections):
    """The sections that this stage reads."""

    splits: Splits
    evaluate: Evaluate


def run(params: Params, *, images: Path, proposals: Path, out: Path, curves: Path, counts: Path) -> None:
    """Write the metrics, recall by IoU threshold (`curves`), and recall by number of proposals (`counts`)."""
    from src.evaluation.proposal_metrics import measure

    data = BoxedImages(images)
    ids = data.ids(params.splits.test)
    targets = {image_id: data.target(image_id) for image_id in ids}
    sizes = {image_id: data.size(image_id) for image_id in ids}
    boxes = {image_id: record["boxes"] for image_id, record in read_records(proposals, ids).items()}
    measured = measure(boxes, targets, sizes, params.evaluate.recall_at)
    write_json(out, measured.metrics)
    write_csv(curves, measured.by_iou)
    write_csv(counts, measured.by_count)
    print(
        ", ".join(
            f"{name} {measured.metrics[name]}" for name in ("recall_50", "recall_70", "mabo", "proposals_per_image")
        )
    )


if __name__ == "__main__":
    command(run)
