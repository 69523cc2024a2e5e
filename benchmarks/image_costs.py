"""Measure the processor time that R-CNN, Fast and Faster R-CNN take per image, in turns and without the search.

    python -m benchmarks.image_costs --images data/prepared/voc.zip --proposals data/proposals/selective_search.npz

Numbers are those of params.yaml, so it runs in a folder with a profile; the weights are random, except that the file of
a trained Faster R-CNN may be given, because its number of regions depends on its proposals. R-CNN's time is that of
cutting out the regions, of the network and of one product for all SVMs and box regressions; all three read the image.
The search is measured on the same images.
"""

import argparse
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch

from src import plugins
from src.detection.running import detect
from src.files.boxed_images import BoxedImages
from src.files.records import read_records
from src.files.weights import read_tensors
from src.params import read_params
from src.proposals import selective_search
from src.rcnn import network
from src.rcnn.crops import Crops
from src.rcnn.features import Features, unlabelled
from src.rcnn.finetune_settings import Finetune
from src.rcnn.warp import Warp, normalize
from stages.score_rcnn import BATCH_SIZE
from stages.train_detector import Params

NUMBERS = 5  # of R-CNN per class: a score and four deltas


class All(Params):
    """The sections of all methods."""

    warp: Warp
    finetune: Finetune
    features: Features
    selective_search: selective_search.SelectiveSearch


def main() -> None:
    """Print a table in Markdown."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--images", type=Path, required=True)
    parser.add_argument("--proposals", type=Path, required=True)
    parser.add_argument("--faster-rcnn", type=Path, help="its trained weights")
    parser.add_argument("--count", type=int, default=12, help="test images; the first one warms up")
    options = parser.parse_args()
    torch.set_num_threads(1)
    params, data = read_params("params.yaml", All), BoxedImages(options.images)
    ids = data.ids(params.splits.test)[: options.count]
    boxes = {image_id: record["boxes"] for image_id, record in read_records(options.proposals, ids).items()}
    search = params.selective_search.model_dump()
    sides: dict[str, Callable[[str], object]] = {
        "selective search": lambda name: selective_search.propose(data.image(name), **search, image_id=name),
        "R-CNN": described(params, data, boxes),
        "Fast R-CNN": detecting("fast_rcnn", params, data, boxes, None),
        "Faster R-CNN": detecting("faster_rcnn", params, data, None, options.faster_rcnn),
    }
    taken: dict[str, list[float]] = {name: [] for name in sides}
    with torch.inference_mode():
        for number, image_id in enumerate(ids):
            for name in sides if number % 2 == 0 else reversed(sides):
                start = time.process_time()
                sides[name](image_id)
                taken[name].append(time.process_time() - start)
    print("| | processor time per image, median | lowest to highest |\n|---|---|---|")
    for name, times in taken.items():
        rest = times[1:]
        print(f"| {name} | {np.median(rest):.3f} s | {min(rest):.3f} to {max(rest):.3f} s |")
    print(f"\n{len(ids) - 1} images, {np.mean([len(boxes[image_id]) for image_id in ids[1:]]):.0f} proposals per image")


def described(params: All, data: BoxedImages, boxes: dict[str, np.ndarray]) -> Callable[[str], object]:
    """Return a function that describes and scores the proposals of an image, as R-CNN does."""
    rules, layer = params.finetune, params.features.layer
    net = network.build(rules.backbone, data.num_classes, pool=rules.pool, hidden=rules.hidden).eval()
    net = net.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    planes = torch.rand(sum(network.widths(net, layer)), NUMBERS * len(data.classes))

    def run(image_id: str) -> None:
        crops = Crops(data, {image_id: unlabelled(boxes[image_id])}, params.warp, batch_size=BATCH_SIZE)
        for index in range(len(crops)):
            network.describe(net, normalize(crops[index]), layer) @ planes

    return run


def detecting(
    name: str, params: All, data: BoxedImages, boxes: dict[str, np.ndarray] | None, weights: Path | None
) -> Callable[[str], object]:
    """Return a function that detects in an image with a detector."""
    module, section = plugins.section("detectors", params.detectors, name)
    net = module.build(data.num_classes, section.model).to(memory_format=torch.channels_last)
    if weights:
        net.load_state_dict(read_tensors(weights)[0])
    return lambda image_id: detect(module, net, section, data, [image_id], torch.device("cpu"), proposals=boxes)


if __name__ == "__main__":
    main()
