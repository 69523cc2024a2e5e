"""Proposals of the trained RPN in the form of selective search's, and how it labels the anchors."""

from pathlib import Path
from typing import Any

import torch

from src import plugins
from src.detection.batches import DetectionBatches
from src.detection.running import BATCH_SIZE, detect, measure, start
from src.files.boxed_images import BoxedImages
from src.files.records import Record, write_records
from src.files.storage import write_json
from src.files.weights import read_tensors
from src.params import Sections, Seed
from src.splits import Splits
from stages.command import command
from stages.environment import device


class Params(Sections):
    """What this stage reads of params.yaml; of `detectors` the section `rpn`."""

    seed: Seed
    splits: Splits
    detectors: dict[str, Any]


def run(params: Params, *, images: Path, weights: Path, model: Path, out: Path, untrained: Path, metrics: Path) -> None:
    """Write the proposals, the best first, those of the same network before its training, and figures of the anchors.

    The figures are of the test images: precision and recall of the anchors called objects, beside the accuracy.
    """
    data, (module, section) = BoxedImages(images), plugins.section("detectors", params.detectors, "rpn")
    net, _ = start(module, section, data.num_classes, read_tensors(weights)[0], params.seed)
    ids, where = data.ids(*params.splits.of_regions()), torch.device(device())
    test = DetectionBatches(data, data.ids(params.splits.test), section.model.size, batch_size=BATCH_SIZE)

    def proposals() -> tuple[dict[str, Record], dict[str, float]]:
        found = detect(module, net, section, data, ids, where)
        torch.manual_seed(params.seed)  # the loss draws the anchors that it looks at
        with torch.inference_mode():
            figures = measure(module, net, section, test, where)
        return {image_id: {"boxes": record["boxes"]} for image_id, record in found.items()}, figures

    found, before = proposals()
    write_records(untrained, found)
    net.load_state_dict(read_tensors(model)[0])
    found, after = proposals()
    write_records(out, found)
    write_json(metrics, {**after, "untrained": before})
    print(
        f"{len(ids)} images, {sum(len(record['boxes']) for record in found.values()) / len(ids):.0f} proposals an image"
    )


if __name__ == "__main__":
    command(run)
