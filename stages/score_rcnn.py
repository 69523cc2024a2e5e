"""Score the proposals of the test images with R-CNN: network, SVMs and box regression."""

from pathlib import Path

from src.files.boxed_images import BoxedImages
from src.files.records import read_records
from src.params import Sections
from src.rcnn.features import Features, unlabelled
from src.rcnn.score import Scorer
from src.rcnn.warp import Warp
from src.splits import Splits
from stages.cluster import pool
from stages.command import command
from stages.environment import device, shards, workers

BATCH_SIZE = 128  # not a parameter, because it changes only the speed


class Params(Sections):
    """The sections that this stage reads."""

    splits: Splits
    warp: Warp
    features: Features


def run(params: Params, *, images: Path, proposals: Path, model: Path, svm: Path, bbox: Path, out: Path) -> None:
    """Write the scores and the box corrections of each proposal and class; the features are not stored."""
    import torch

    from src.rcnn import network
    from src.rcnn.extract import Result, extract

    data, layer = BoxedImages(images), params.features.layer
    proposed = read_records(proposals, data.ids(params.splits.test))
    net, _ = network.read(model)
    scorer = Scorer(svm, bbox, sum(network.widths(net, layer)), layer)
    parts = shards("scores", params.model_dump(), [images, proposals, model, svm, bbox])
    extract(
        net,
        data,
        {image_id: unlabelled(record["boxes"]) for image_id, record in proposed.items()},
        out,
        result=Result(scorer.rows, scorer.width),
        layer=layer,
        precision=params.features.precision,
        settings=params.warp,
        map_side=params.features.side,
        batch_size=BATCH_SIZE,
        device=torch.device(device()),
        jobs=pool(),
        workers=0 if device() == "cpu" else workers(),
        parts=parts,
        remedy="lower selective_search.max_proposals",
    )
    parts.forget()


if __name__ == "__main__":
    command(run)
