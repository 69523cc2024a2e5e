"""Detect with R-CNN on the test images from the scores of the proposals: threshold, suppression, box regression."""

from pathlib import Path

from src.files import room
from src.files.boxed_images import BoxedImages
from src.files.records import DETECTION, read_records, write_records
from src.params import Sections, Seed
from src.rcnn.detect import DetectRcnn, detect_all
from src.rcnn.score import read_scores
from src.splits import Splits
from stages.command import command


class Params(Sections):
    """The sections that this stage reads."""

    seed: Seed
    splits: Splits
    detect_rcnn: DetectRcnn


def run(params: Params, *, images: Path, proposals: Path, scores: Path, out: Path) -> None:
    """Write `detections.npz` and two variants: without box regression, and a random ranking of the same proposals."""
    data = BoxedImages(images)
    sizes = {image_id: data.size(image_id) for image_id in data.ids(params.splits.test)}
    most = len(sizes) * len(data.classes) * params.detect_rcnn.max_per_image
    room.disk(out, 3 * most * DETECTION, f"3 x {most} detections at most", "lower detect_rcnn.max_per_image")
    proposed = read_records(proposals, list(sizes))
    scored = read_scores(scores, proposed, list(sizes))
    variants = detect_all(scored, proposed, sizes, params.detect_rcnn, params.seed)
    for name, records in variants.items():
        write_records(out / f"{name}.npz", records)
    kept = variants["detections"].values()
    print(f"{sum(len(record['boxes']) for record in kept)} detections in {len(kept)} images")


if __name__ == "__main__":
    command(run)
