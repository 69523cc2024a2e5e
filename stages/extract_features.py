"""Describe every region once: proposals of all images, and the true boxes of the training images."""

from pathlib import Path

import numpy as np
import torch

from src.assign import plain
from src.params import Sections, Splits
from src.rcnn import network
from src.rcnn.features import Features, extract
from src.rcnn.warp import Warp
from src.records import Record, read_records, write_records
from src.samples import Samples
from src.storage import read_tensors
from stages.command import command
from stages.environment import device, jobs

BATCH_SIZE = 128  # no parameter: it changes the speed, not the features


class Params(Sections):
    """What this stage reads of params.yaml."""

    splits: Splits
    warp: Warp
    features: Features


def run(params: Params, *, samples: Path, proposals: Path, weights: Path, out: Path, regions: Path) -> None:
    """Write the features, and the regions that they belong to."""
    data = Samples(samples)
    train, test = data.ids(params.splits.train), data.ids(params.splits.test)
    found = read_records(proposals, data.ids(params.splits.train, params.splits.test))
    table: dict[str, Record] = {}
    for image_id in dict.fromkeys([*train, *test]):
        # True boxes come first, for training images alone: a test image's would be an answer in the question.
        gt_boxes = plain(data.target(image_id))["boxes"] if image_id in set(train) else np.zeros((0, 4), np.float32)
        boxes = np.concatenate([gt_boxes, found[image_id]["boxes"]])
        table[image_id] = {"boxes": boxes, "is_gt": np.arange(len(boxes)) < len(gt_boxes)}
    tensors, facts = read_tensors(weights)
    model = network.build(facts["backbone"], data.num_classes, hidden=facts["hidden"])
    model.load_state_dict(tensors)
    extract(
        model,
        data,
        table,
        out,
        layer=params.features.layer,
        settings=params.warp,
        batch_size=BATCH_SIZE,
        device=torch.device(device()),
        jobs=jobs(),
    )
    write_records(regions, table)


if __name__ == "__main__":
    command(run)
