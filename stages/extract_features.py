"""Compute the features of each region of the training images once: ground-truth boxes and proposals."""

from pathlib import Path

from src.files.boxed_images import BoxedImages
from src.files.records import write_records
from src.files.storage import write_npz
from src.params import Sections
from src.rcnn.features import Features, read_described, table_of, unit_scale
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


def run(params: Params, *, images: Path, proposals: Path, model: Path, out: Path, regions: Path, scale: Path) -> None:
    """Write the features, the regions that they belong to, and the factors that scale their mean norm to 1."""
    import torch

    from src.rcnn import network
    from src.rcnn.extract import extract

    data = BoxedImages(images)
    train = data.ids(params.splits.train)
    table = table_of(data, proposals, train, params.features)
    net, _ = network.read(model)
    parts = shards("features", params.model_dump(), [images, proposals, model])
    extract(
        net,
        data,
        table,
        out,
        layer=params.features.layer,
        precision=params.features.precision,
        settings=params.warp,
        map_side=params.features.side,
        batch_size=BATCH_SIZE,
        device=torch.device(device()),
        jobs=pool(),
        workers=0 if device() == "cpu" else workers(),
        parts=parts,
    )
    parts.forget()
    write_records(regions, table)
    vectors, _ = read_described(out, regions, train)
    write_npz(scale, {"scale": unit_scale(vectors, network.widths(net, params.features.layer))})


if __name__ == "__main__":
    command(run)
