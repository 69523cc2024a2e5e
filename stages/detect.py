"""Detect with a trained dense detector on the test images."""

from pathlib import Path
from typing import Any

import torch

from src import plugins
from src.detection.running import detect, start
from src.files.boxed_images import BoxedImages
from src.files.records import write_records
from src.files.weights import read_tensors
from src.params import Sections, Seed
from src.splits import Splits
from stages.command import command
from stages.environment import device


class Params(Sections):
    """What this stage reads of params.yaml; of `detectors` the detector's own section."""

    seed: Seed
    splits: Splits
    detectors: dict[str, Any]


def run(params: Params, *, detector: str, images: Path, weights: Path, model: Path, out: Path) -> None:
    """Write `detections.npz`, and `untrained.npz`: what the same network found before its training."""
    data, (module, section) = BoxedImages(images), plugins.section("detectors", params.detectors, detector)
    net, _ = start(module, section, data.num_classes, read_tensors(weights)[0], params.seed)
    ids = data.ids(params.splits.test)
    write_records(out / "untrained.npz", detect(module, net, section, data, ids, torch.device(device())))
    net.load_state_dict(read_tensors(model)[0])
    found = detect(module, net, section, data, ids, torch.device(device()))
    write_records(out / "detections.npz", found)
    print(f"{sum(len(record['boxes']) for record in found.values())} detections in {len(found)} images")


if __name__ == "__main__":
    command(run)
