"""Proposals of the trained RPN for every image, in the form of selective search's."""

from pathlib import Path
from typing import Any

import torch

from src.detection import detect, section_of, start
from src.params import Sections, Seed
from src.records import Record, write_records
from src.samples import Samples
from src.storage import read_tensors
from stages.command import command
from stages.environment import device


class Params(Sections):
    """What this stage reads of params.yaml; of `detectors` the section `rpn`."""

    seed: Seed
    detectors: dict[str, Any]


def run(params: Params, *, samples: Path, weights: Path, model: Path, out: Path, untrained: Path) -> None:
    """Write the proposals, the best first, and those of the same network before its training."""
    data, (module, section) = Samples(samples), section_of(params.detectors, "rpn")
    net, _ = start(module, section, data.num_classes, read_tensors(weights)[0], params.seed)
    ids = data.ids(*data.splits)

    def proposals() -> dict[str, Record]:
        found = detect(module, net, section, data, ids, torch.device(device()))
        return {image_id: {"boxes": record["boxes"]} for image_id, record in found.items()}

    write_records(untrained, proposals())
    net.load_state_dict(read_tensors(model)[0])
    found = proposals()
    write_records(out, found)
    print(
        f"{len(ids)} images, {sum(len(record['boxes']) for record in found.values()) / len(ids):.0f} proposals an image"
    )


if __name__ == "__main__":
    command(run)
