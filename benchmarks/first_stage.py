"""Measure the proposals of Faster R-CNN's first stage beside those of the RPN alone, on the test images.

    python -m benchmarks.first_stage

Both networks are those of models/, and the boxes of both are chosen by the numbers of `detectors.rpn.decode`, so their
recalls differ in what the networks learnt alone. Errors are standard errors of a bootstrap over the test images; that
of the difference is of the same resamples for both.
"""

import argparse
from pathlib import Path

import numpy as np
import torch

from src import plugins
from src.detection import rpn
from src.detection.batches import DetectionBatches
from src.detection.sizes import size_of
from src.evaluation.bootstrap import draws, standard_error
from src.evaluation.proposal_recall import best_overlaps, recall
from src.evaluation.resampled_proposals import of_proposals
from src.files.boxed_images import BoxedImages
from src.files.weights import read_tensors
from src.params import read_params
from stages.train_detector import Params

FIRST = (10, 100, 300)
NAMES = ("rpn", "faster_rcnn")


def proposals(name: str, model: Path, params: Params, data: BoxedImages) -> dict[str, np.ndarray]:
    """Return the boxes [N, 4] of a detector's first stage for each test image, best first."""
    module, section = plugins.section("detectors", params.detectors, name)
    rules = plugins.section("detectors", params.detectors, "rpn")[1].decode
    net = module.build(data.num_classes, section.model)
    net.load_state_dict(read_tensors(model)[0])
    net.eval().to(memory_format=torch.channels_last)
    batches = DetectionBatches(data, data.ids(params.splits.test), size_of(section.model), batch_size=32)
    boxes: dict[str, np.ndarray] = {}
    with torch.inference_mode():
        for index in batches.epoch(0):
            batch = batches[index]
            layers = net if name == "rpn" else net.rpn
            outputs = layers.anchored(net.backbone(batch["images"])[0], batch["images"])
            found = rpn.decode(outputs, [data.size(image_id) for image_id in batch["ids"]], rules)
            boxes |= {name: record["boxes"].numpy() for name, record in zip(batch["ids"], found, strict=True)}
    return boxes


def main() -> None:
    """Print a table in Markdown."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--images", type=Path, default=Path("data/prepared/voc.zip"))
    parser.add_argument("--models", type=Path, default=Path("models"))
    options = parser.parse_args()
    data, params = BoxedImages(options.images), read_params("params.yaml", Params)
    targets = {image_id: data.target(image_id) for image_id in data.ids(params.splits.test)}
    found = {name: proposals(name, options.models / f"{name}.safetensors", params, data) for name in NAMES}
    resampled = {name: of_proposals(boxes, targets, FIRST, draws(len(targets))) for name, boxes in found.items()}
    print(
        "| recall at IoU 0.5 of the first | " + " | ".join(map(str, FIRST)) + " |\n" + "|---" * (len(FIRST) + 1) + "|"
    )
    for name, boxes in found.items():
        cells = [
            f"{recall(best_overlaps(boxes, targets, k).overlaps, 0.5):.3f} +- "
            f"{standard_error(resampled[name][f'recall_50_at_{k}']):.3f}"
            for k in FIRST
        ]
        print(f"| {name} | " + " | ".join(cells) + " |")
    names = [f"recall_50_at_{k}" for k in FIRST]
    errors = [standard_error(resampled[NAMES[1]][name] - resampled[NAMES[0]][name]) for name in names]
    print("| error of the difference | " + " | ".join(f"{error:.3f}" for error in errors) + " |")


if __name__ == "__main__":
    main()
